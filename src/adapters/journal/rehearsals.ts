import { type MeasuredMigration, Rehearsal } from '../../domain/rehearsal.js'
import type { Journal } from './journal.js'

/** What is known of one migration from the newest rehearsal of that very file. */
export type Measured = Pick<Rehearsal, 'at' | 'source' | 'bytes'> & { migration: MeasuredMigration }

/** Further back nobody looks. */
const NEWEST = 20

/** Keeps what was measured. */
export async function recordRehearsal(
  journal: Journal,
  { project, environment }: { project: string; environment: string },
  rehearsal: Rehearsal,
): Promise<void> {
  await journal.write((sql) =>
    sql('insert into rehearsals (project, environment, body) values ($1, $2, $3)', [
      project,
      environment,
      JSON.stringify(rehearsal),
    ]),
  )
}

/** By version, of those that were rehearsed with the same checksum. */
export async function measuredOf(
  journal: Journal,
  { project, environment }: { project: string; environment: string },
  migrations: readonly { version: string; checksum: string }[],
): Promise<Map<string, Measured>> {
  const rows = await journal.read<{ body: unknown }>(
    'select body from rehearsals where project = $1 and environment = $2 order by id desc limit $3',
    [project, environment, NEWEST],
  )
  const checksums = new Map(migrations.map(({ version, checksum }) => [version, checksum]))
  const found = new Map<string, Measured>()
  for (const { at, source, bytes, migrations: measured } of rows.map(({ body }) => Rehearsal.parse(body)))
    for (const migration of measured) {
      const { version, checksum } = migration
      if (checksums.get(version) === checksum && !found.has(version))
        found.set(version, { at, source, bytes, migration })
    }
  return found
}
