import type { Journal } from './journal.js'

/** What the journal has of a version's file as it was when it was applied. */
export interface AppliedBy {
  /** The newest run that applied it, or marked it as applied. */
  run: string
  checksum: string
  /** The image that the run's migrations were in. */
  image: string | undefined
}

/** Back to this one of the newest runs. */
const RUNS_LOOKED_AT = 1_000

/**
 * By version. What was taken back since, restored away or marked as pending is not known any more, nor what no run of ours applied. A
 * run counts that has called the migrator for the version's stage: whether the version is applied is for the ledger to tell.
 */
export async function appliedBy(
  journal: Journal,
  { project, environment }: { project: string; environment: string },
  versions: readonly string[],
): Promise<Map<string, AppliedBy>> {
  const rows = await journal.read<{ version: string; run: string; checksum: string | null; image: string | null }>(
    `with looked as (
       select r.name, r.started_at, r.outcome, body from runs r join plans p on p.digest = r.plan_digest
        where r.project = $1 and r.environment = $2 and coalesce(r.outcome, '') not in ('aborted', 'restored')
        order by r.started_at desc limit ${RUNS_LOOKED_AT}
     ), told as (
       select name, started_at, body ->> 'migratorImage' as image, one ->> 'version' as version,
              case when part ->> 'phase' in ('expand', 'contract') then one ->> 'checksum' end as checksum
         from looked, jsonb_array_elements(body -> 'stages') part, jsonb_array_elements(part -> 'migrations') one
        where exists (select from steps s where s.run = name and s.step = 'migrate' and s.stage = (part ->> 'number')::int)
       union all
       select name, started_at, null, body #>> '{marks,version}', body #>> '{marks,checksum}'
         from looked where body ? 'marks' and outcome = 'succeeded'
       union all
       select name, started_at, body ->> 'migratorImage', version, one ->> 'checksum'
         from looked cross join unnest($3::text[]) version
         left join jsonb_array_elements(body #> '{creates,migrations}') one on one ->> 'version' = version
        where body ? 'creates' and outcome = 'succeeded'
       union all
       select name, started_at, null, version, null from looked cross join unnest($3::text[]) version
        where body ? 'restores' and outcome = 'succeeded' and not exists (
          select from backups b where b.project = $1 and b.environment = $2
             and b.name || '/' || b.kind = body ->> 'restores' and b.manifest -> 'ledger' ? version)
     )
     select distinct on (version) version, name as run, checksum, image from told
      where version = any ($3) order by version, started_at desc`,
    [project, environment, [...versions]],
  )
  return new Map(
    rows.flatMap(({ version, run, checksum, image }) =>
      checksum === null ? [] : [[version, { run, checksum, image: image ?? undefined }] as const],
    ),
  )
}
