import { z } from 'zod'
import { Name, RunName, Tag } from './names.js'

/** Everything that changes anything is a run of one of these kinds. */
export const RunKind = z.enum(['deploy', 'migrate', 'backup', 'restore', 'rollback', 'recover', 'repair'])
export type RunKind = z.infer<typeof RunKind>

/** Who asked: a name anybody can send, or the key that signed the request. */
export const Requester = z.strictObject({ by: z.string().max(200), verified: z.boolean().default(false) })
export type Requester = z.infer<typeof Requester>

export const PlannedMigration = z.strictObject({
  version: z.string(),
  name: z.string(),
  phase: z.enum(['expand', 'contract']),
  transactional: z.boolean(),
  checksum: z.string(),
  hasDown: z.boolean(),
  sql: z.string().optional(),
})
export type PlannedMigration = z.infer<typeof PlannedMigration>

/** A group of consecutive pending migrations of one phase; `image` deploys without migrating, `restore` puts a backup in place. */
export const Stage = z.strictObject({
  number: z.int(),
  phase: z.enum(['expand', 'contract', 'image', 'restore']),
  migrations: z.array(PlannedMigration),
  /** The version the database is at after this stage; undefined before any migration. */
  target: z.string().optional(),
  /** Whether the new image goes out at the end of this stage. */
  deploysImage: z.boolean(),
  /** Whether a person must approve before it. */
  approval: z.boolean(),
})
export type Stage = z.infer<typeof Stage>

/** What a `repair` does to the migrator's history: one version, and how it counts from then on. The schema stays as it is. */
export const Mark = z.strictObject({
  version: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^\p{C}]+$/u, 'a version is one line of text'),
  as: z.enum(['applied', 'pending']),
})
export type Mark = z.infer<typeof Mark>

/** The resolved, immutable description of a run. Its digest is what is approved. */
export const Plan = z.strictObject({
  format: z.literal(1),
  project: Name,
  environment: Name,
  kind: RunKind,
  tag: Tag.optional(),
  /** Which database it is for: nothing runs on another one. */
  bound: z.strictObject({ systemIdentifier: z.string(), database: z.string(), oid: z.string() }),
  /** The newest applied version when it was made. */
  from: z.string().optional(),
  applied: z.array(z.strictObject({ version: z.string(), name: z.string().optional() })),
  stages: z.array(Stage),
  services: z.array(z.strictObject({ name: z.string(), previous: z.string().optional(), next: z.string().optional() })),
  /** In the order they are paused. */
  consumers: z.array(z.string()),
  /** The id of the image that the migrations are in, where they are in one. */
  migratorImage: z.string().optional(),
  /** Services stopped to close the gate. */
  quiesces: z.array(z.string()),
  backups: z.array(z.enum(['clone', 'dump'])),
  /** The backup a `restore` run puts in place: `name/kind`. */
  restores: z.string().optional(),
  /** What a `repair` run marks, and how the history has it now. */
  marks: z.strictObject({ ...Mark.shape, was: z.string() }).optional(),
  /** Why no automatic restore is possible; undefined when it is. */
  noRestoreBecause: z.string().optional(),
  /** What the migrator's own contract cannot do, in words. */
  remarks: z.array(z.string()),
  approvers: z.strictObject({
    from: z.array(z.string()),
    count: z.int(),
    timeoutMs: z.int(),
    verified: z.boolean(),
    requesterMayApprove: z.boolean(),
  }),
  protected: z.boolean(),
})
export type Plan = z.infer<typeof Plan>

/** What the workflow needs of a plan: order and waiting, nothing large, no SQL. */
export const PlanSummary = z.strictObject({
  run: RunName,
  digest: z.string(),
  database: z.string(),
  stages: z.array(
    z.strictObject({
      number: z.int(),
      phase: z.enum(['expand', 'contract', 'image', 'restore']),
      count: z.int(),
      target: z.string().optional(),
      approval: z.boolean(),
      deploysImage: z.boolean(),
    }),
  ),
  pauses: z.boolean(),
  /** Whether any service is configured. */
  serves: z.boolean().default(true),
  /** Whether clones are taken that are not needed any more once the run has ended well. */
  clones: z.boolean().default(false),
  approvalTimeoutMs: z.int(),
  approvalsNeeded: z.int(),
  /** Whether who asked may be one of them; a run that was planned before this was told says nothing of it. */
  requesterMayApprove: z.boolean().optional(),
  heartbeatMs: z.int(),
  holdOnFailure: z.boolean(),
  /** Whether the server knows our search attributes: an unregistered one blocks every workflow task. */
  searchAttributes: z.boolean(),
})
export type PlanSummary = z.infer<typeof PlanSummary>
export type StageSummary = PlanSummary['stages'][number]

/** Splits the pending migrations into stages. Throws a plain Error with the reason; the caller names the plan. */
export function stagesOf(
  pending: readonly PlannedMigration[],
  options: { deploysImage: boolean; stopsAtTarget: boolean; approvalBefore: readonly ('expand' | 'contract')[] },
): { stages: Stage[]; remarks: string[] } {
  const { deploysImage, stopsAtTarget, approvalBefore } = options
  const firstContract = pending.findIndex((migration) => migration.phase === 'contract')
  const late =
    firstContract < 0 ? undefined : pending.slice(firstContract).find((migration) => migration.phase === 'expand')
  if (late) {
    const contract = pending[firstContract]
    throw new Error(
      `expand migration ${late.version} comes after contract migration ${contract?.version}: they cannot go out in one release`,
    )
  }
  const expand = firstContract < 0 ? pending : pending.slice(0, firstContract)
  const contract = firstContract < 0 ? [] : pending.slice(firstContract)
  const joined = !stopsAtTarget && expand.length > 0 && contract.length > 0
  const groups: { phase: 'expand' | 'contract' | 'image'; migrations: readonly PlannedMigration[] }[] = joined
    ? [{ phase: 'contract', migrations: pending }]
    : [
        ...(expand.length > 0 ? [{ phase: 'expand' as const, migrations: expand }] : []),
        ...(contract.length > 0 ? [{ phase: 'contract' as const, migrations: contract }] : []),
      ]
  // The image goes out before the first contract stage, even where nothing is to be expanded.
  if (deploysImage && !joined && groups[0]?.phase !== 'expand') groups.unshift({ phase: 'image', migrations: [] })
  const stages = groups.map(({ phase, migrations }, index): Stage => {
    const target = migrations.at(-1)?.version
    return {
      number: index + 1,
      phase,
      migrations: [...migrations],
      ...(target === undefined ? {} : { target }),
      deploysImage: deploysImage && index === 0,
      approval: phase !== 'image' && approvalBefore.includes(phase),
    }
  })
  const remarks = joined ? ['this migrator can only go to head: both phases become one stage, treated as contract'] : []
  return { stages, remarks }
}
