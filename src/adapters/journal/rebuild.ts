import { z } from 'zod'
import type { Manifest } from '../../domain/manifest.js'
import { startedAtOf, workflowId } from '../../domain/names.js'
import { isNarrowing, Plan } from '../../domain/plan.js'
import { insertBackup } from './backups.js'
import { insertDecision } from './decisions.js'
import type { Journal } from './journal.js'
import { requireNoOther, resourceOf } from './runs.js'

/** What a backup keeps of its run for a journal that has lost it. */
export const Rebuild = z.object({
  plan: Plan,
  decisions: z.array(
    z.object({
      stage: z.int(),
      decision: z.string(),
      by: z.string(),
      verified: z.boolean(),
      accepted: z.boolean(),
      digest: z.string(),
      note: z.string(),
      at: z.coerce.date(),
    }),
  ),
})
export type Rebuild = z.infer<typeof Rebuild>

/** An event of the journal. */
export const JOURNAL_REBUILT = 'journal rebuilt'
/** By so much the fence's number is ahead of the backup's: each attempt since has raised it by one. */
const LEAP = 1_000

/** A run that is to be opened again. */
export interface LostRun {
  /** Of its backups, the newest last. */
  manifests: readonly Manifest[]
  newest: Manifest
  rebuild: Rebuild
  digest: string
  /** Of the database that has the name now. */
  oid: string
  /** There are newer backups, which cannot be read. */
  isUnsure: boolean
  /** What a person should know of it, in one line. */
  text: string
}

/**
 * Opens a run that the journal has lost, as its newest backup knows it, for a person to end. What nobody knows any more counts
 * as the worst: others may have written, the stage may have been applied and the image replaced, a contract stage may
 * have committed. Twice is once. Throws `RunOpen`.
 */
export async function rebuildRun(journal: Journal, lost: LostRun): Promise<void> {
  const { newest, rebuild, digest, oid } = lost
  const { run, project, environment, systemIdentifier, database, stage, epoch } = newest
  const { plan, decisions } = rebuild
  await journal.write(async (sql) => {
    await sql('select pg_advisory_xact_lock(hashtextextended($1, 1))', [resourceOf(newest)])
    if ((await sql('select from runs where name = $1', [run])).length > 0) return
    await requireNoOther(sql, systemIdentifier, database, 'main')
    await sql('insert into plans (digest, body) values ($1, $2) on conflict do nothing', [digest, JSON.stringify(plan)])
    await sql(
      `insert into runs (name, project, environment, kind, system_identifier, database, database_oids, workflow_id,
         workflow_run_id, carrier, tag, plan_digest, requested, started_at, engine, gate, contract_started_at, outcome)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13, '', 'open',
         case when $14 then clock_timestamp() end, 'needs-operator')`,
      [
        ...[run, project, environment, plan.kind, systemIdentifier, database],
        [...new Set([newest.databaseOid, oid])],
        // No workflow carries it: one that is still there acts for it no more.
        ...[workflowId(project, environment), `lost: ${run}`, plan.tag ?? null, digest],
        ...[JSON.stringify({ by: 'unknown', verified: false }), startedAtOf(run).toISOString()],
        // Before a later stage there was a backup of it.
        plan.stages.some(
          ({ number, phase }) => isNarrowing(phase) && (number === stage || (lost.isUnsure && number > stage)),
        ),
      ],
    )
    for (const [kind, states] of Object.entries(newest.priorStates))
      await sql(
        'insert into prior_states (run, kind, name, state) select $1, $2, key, value from jsonb_each($3::jsonb)',
        [run, kind, JSON.stringify(states)],
      )
    for (const [number, step, state] of stepsOf(rebuild, stage))
      await sql(
        `insert into steps (run, step, stage, attempt, epoch, host, state, result, started_at, ended_at)
         values ($1, $2, $3, 1, $4, '', $5, $6, $7, case when $5 = 'done' then $7::timestamptz end)`,
        [
          run,
          step,
          number,
          epoch,
          state,
          state === 'done' ? JSON.stringify('as its backup says') : null,
          newest.takenAt,
        ],
      )
    await sql(
      `insert into epochs (resource, epoch, run, step) values ($1, $2, $3, 'backup')
       on conflict (resource) do update set epoch = greatest(epochs.epoch, excluded.epoch)`,
      [resourceOf(newest), epoch + LEAP, run],
    )
    for (const decision of decisions) await insertDecision(sql, run, decision)
    // Their bytes are read again before anything is restored from them.
    for (const manifest of lost.manifests) await insertBackup(sql, manifest, 'valid')
    await sql('insert into events (run, type, body) values ($1, $2, $3)', [
      run,
      JOURNAL_REBUILT,
      JSON.stringify({ text: lost.text }),
    ])
  })
}

/** What was done before the backup, and what may have been begun since. */
function stepsOf({ plan }: Rebuild, stage: number): [number, string, 'done' | 'intended'][] {
  const before = plan.stages.filter(({ number }) => number < stage)
  return [
    ...before.map(({ number }): [number, string, 'done'] => [number, 'restart-services', 'done']),
    ...['pause-consumers', 'quiesce-writers', 'backup'].map((step): [number, string, 'done'] => [stage, step, 'done']),
    ...['migrate', 'restart-services'].map((step): [number, string, 'intended'] => [stage, step, 'intended']),
  ]
}
