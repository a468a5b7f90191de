import { type MeasuredMigration, Rehearsal } from '../../domain/rehearsal.js'
import type { Journal } from './journal.js'

/** What is known of one migration from the newest rehearsal of that very file. */
export type Measured = Pick<Rehearsal, 'at' | 'source' | 'bytes' | 'previous'> & { migration: MeasuredMigration }

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

/** By version, of those that were rehearsed with the same checksum. What a later release of ours wrote in another way is passed over. */
export async function measuredOf(
  journal: Journal,
  { project, environment }: { project: string; environment: string },
  migrations: readonly { version: string; checksum: string }[],
): Promise<Map<string, Measured>> {
  const rows = await journal.read<{ version: string; body: unknown }>(
    `select distinct on (wanted.version) wanted.version, r.body
       from unnest($3::text[], $4::text[]) as wanted (version, checksum)
       join rehearsals r on r.body->'migrations' @> jsonb_build_array(jsonb_build_object('version', wanted.version, 'checksum', wanted.checksum))
      where r.project = $1 and r.environment = $2 order by wanted.version, r.id desc`,
    [project, environment, migrations.map(({ version }) => version), migrations.map(({ checksum }) => checksum)],
  )
  const found = new Map<string, Measured>()
  for (const { version, body } of rows) {
    const { data } = Rehearsal.safeParse(body)
    const migration = data?.migrations.find((one) => one.version === version)
    if (!data || !migration) continue
    const { at, source, bytes, previous } = data
    found.set(version, { at, source, bytes, migration, ...(previous === undefined ? {} : { previous }) })
  }
  return found
}
