import { join } from 'node:path'
import { cacheFolder, findPostgres } from '../../src/adapters/process/provision.js'

/** Folder of `initdb`, `postgres`, `pg_dump`. */
export async function serverBinaries(): Promise<string> {
  return (await findPostgres(cacheFolder(), () => {})).directory
}

export const pgDump = async (): Promise<string> => join(await serverBinaries(), 'pg_dump')
