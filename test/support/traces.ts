import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { elsewhere } from '../checker/connect.js'
import { serverBinaries } from './server-binaries.js'
import type { World } from './world.js'

/** Everything a world's runs have written down, by where: none of it may hold a secret. */
export async function tracesOf(world: World): Promise<Record<string, string>> {
  return {
    'the worker`s output': world.output,
    'Temporal`s histories': await histories(world),
    'the journal': await journalOf(world),
    'logs and backups` manifests': await textFiles(world.folder),
  }
}

/** Places that hold `secret`, as it is or encoded for a URL. */
export const placesWith = (traces: Record<string, string>, secret: string): string[] =>
  Object.entries(traces).flatMap(([place, text]) =>
    [secret, encodeURIComponent(secret)].some((form) => text.includes(form)) ? [place] : [],
  )

async function histories({ temporal, project }: World): Promise<string> {
  let text = ''
  const query = `WorkflowId STARTS_WITH "headgate/${project}/"`
  for await (const { workflowId, runId } of temporal.workflow.list({ query })) {
    const handle = temporal.workflow.getHandle(workflowId, runId)
    const [history, description] = [await handle.fetchHistory(), await handle.describe()]
    text += JSON.stringify({ history, memo: description.memo, raw: description.raw }, readable)
  }
  return text
}

/** Payloads are bytes: as the text they are. */
function readable(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  return typeof value === 'bigint' ? String(value) : value
}

async function journalOf(world: World): Promise<string> {
  const program = join(await serverBinaries(), 'pg_dump')
  const schema = world.project.replaceAll('-', '_')
  const args = ['--inserts', `--schema=${schema}`, `--dbname=${elsewhere(world.database.url, 'headgate')}`]
  return (await promisify(execFile)(program, args, { maxBuffer: 1 << 28 })).stdout
}

async function textFiles(folder: string): Promise<string> {
  let text = ''
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    // What people wrote themselves is theirs.
    if (path.startsWith(join(folder, 'releases'))) continue
    text += `${path}\n`
    if (entry.isFile() && !entry.name.endsWith('.gz')) text += await readFile(path, 'utf8')
  }
  return text
}
