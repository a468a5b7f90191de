import { z } from 'zod'
import type { AppliedMigration, Ledger } from './migration.js'
import { Name, RunName, Tag } from './names.js'

/** Everything that changes anything is a run of one of these kinds. */
export const RunKind = z.enum(['deploy', 'migrate', 'backup', 'restore', 'rollback', 'recover', 'repair', 'init-db'])
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

/**
 * What a stage does: applies pending migrations of one phase, or takes applied ones of one phase back (`undo-...`); `image`
 * deploys without migrating, `restore` puts a backup in place.
 */
export const StagePhase = z.enum(['expand', 'contract', 'image', 'restore', 'undo-contract', 'undo-expand'])
export type StagePhase = z.infer<typeof StagePhase>

/** Whether the stage takes applied migrations back. */
export const isUndo = (phase: StagePhase | undefined): boolean => phase === 'undo-contract' || phase === 'undo-expand'

/** Whether the stage takes away what the image of before needs: once something of it has committed, there is no way back to that. */
export const isNarrowing = (phase: StagePhase | undefined): boolean => phase === 'contract' || phase === 'undo-expand'

/** Whether the stage calls the migrator. */
export const isMigrating = (phase: StagePhase | undefined): boolean =>
  phase === 'expand' || phase === 'contract' || isUndo(phase)

/** A group of consecutive migrations of one phase, in the order in which they are applied or taken back. */
export const Stage = z.strictObject({
  number: z.int(),
  phase: StagePhase,
  migrations: z.array(PlannedMigration),
  /** The version the database is at after this stage; undefined before any migration. */
  target: z.string().optional(),
  /** Whether the new image goes out at the end of this stage. */
  deploysImage: z.boolean(),
  /** Whether a person must approve before it. */
  approval: z.boolean(),
})
export type Stage = z.infer<typeof Stage>

/** A migration's version, as somebody sends it. */
export const Version = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{C}]+$/u, 'a version is one line of text')

/** What a `repair` does to the migrator's history: one version, and how it counts from then on. The schema stays as it is. */
export const Mark = z.strictObject({
  version: Version,
  as: z.enum(['applied', 'pending']),
})
export type Mark = z.infer<typeof Mark>

/** Stands for the oid of a database that is not there. */
export const NO_DATABASE = ''

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
  /** The tag that runs and the one that is deployed; what they were made of when the plan was, where the kind of service tells. */
  services: z.array(
    z.strictObject({
      name: z.string(),
      previous: z.string().optional(),
      previousImage: z.string().optional(),
      next: z.string().optional(),
      nextImage: z.string().optional(),
    }),
  ),
  /** In the order they are paused. */
  consumers: z.array(z.string()),
  /** What deploys by itself and is held, by name. */
  autodeploys: z.array(z.string()).optional(),
  /** The id of the image that the migrations are in, where they are in one. */
  migratorImage: z.string().optional(),
  /** Services stopped to close the gate. */
  quiesces: z.array(z.string()),
  /** Roles that nobody can log in as while the gate is closed. */
  blocks: z.array(z.string()).optional(),
  backups: z.array(z.enum(['clone', 'dump'])),
  /** The backup a `restore` run puts in place: `name/kind`. */
  restores: z.string().optional(),
  /** What a `repair` run marks, how the history has it now, and the file that it counts as applied from. */
  marks: z.strictObject({ ...Mark.shape, was: z.string(), checksum: z.string().optional() }).optional(),
  /** What an `init-db` run makes: instead of which database, by what, and the migrations that its ledger has then. */
  creates: z
    .strictObject({
      instead: z.enum(['nothing', 'empty', 'old']),
      by: z.enum(['init', 'migrations']),
      migrations: z.array(PlannedMigration.pick({ version: true, checksum: true })),
    })
    .optional(),
  /**
   * Where the rest of a failed run was planned anew: who asked for that, in which of the run's recoveries (what was decided about
   * an earlier one does not count), from which stage on, what of that was applied already, and what the ledger marked as half done.
   */
  fix: z
    .strictObject({
      by: z.string(),
      recovery: z.int(),
      stage: z.int().optional(),
      kept: z.array(z.string()).optional(),
      halfDone: z.string().optional(),
    })
    .optional(),
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
      phase: StagePhase,
      count: z.int(),
      target: z.string().optional(),
      approval: z.boolean(),
      deploysImage: z.boolean(),
      /** What its migrations took in a rehearsal, where all of them were rehearsed. */
      rehearsedMs: z.number().optional(),
    }),
  ),
  pauses: z.boolean(),
  /** Whether anything that deploys by itself is held. */
  holds: z.boolean().default(false),
  /** Whether any service is configured. */
  serves: z.boolean().default(true),
  /** Whether clones are taken that are not needed any more once the run has ended well. */
  clones: z.boolean().default(false),
  approvalTimeoutMs: z.int(),
  approvalsNeeded: z.int(),
  /** Whether who asked may be one of them; a run that was planned before this was told says nothing of it. */
  requesterMayApprove: z.boolean().optional(),
  /** Who asked, where that is not only who started the workflow. */
  requesters: z.array(z.string()).optional(),
  heartbeatMs: z.int(),
  holdOnFailure: z.boolean(),
  /** Whether the server knows our search attributes: an unregistered one blocks every workflow task. */
  searchAttributes: z.boolean(),
})
export type PlanSummary = z.infer<typeof PlanSummary>
export type StageSummary = PlanSummary['stages'][number]

type HasVersions = { applied: readonly Pick<AppliedMigration, 'version'>[] } & Pick<Ledger, 'dirty'>

/** What of the stage is still to be done, by the ledger; what that marks as half done is, too. */
export function stillToDo(
  { phase, migrations }: Pick<Stage, 'phase' | 'migrations'>,
  ledger: HasVersions,
): PlannedMigration[] {
  const applied = new Set(ledger.applied.map(({ version }) => version))
  return migrations.filter(({ version }) => version === ledger.dirty || applied.has(version) === isUndo(phase))
}

/** Migrations that the plan applies: what is taken back is neither reviewed nor rehearsed. */
export const toApply = ({ stages }: Pick<Plan, 'stages'>): PlannedMigration[] =>
  stages.flatMap(({ phase, migrations }) => (isUndo(phase) ? [] : migrations))

/** The version that a plan takes the database down to; undefined where it does not. */
export const downTarget = ({ stages }: Pick<Plan, 'stages'>): string | undefined =>
  stages.some(({ phase }) => isUndo(phase)) ? stages.at(-1)?.target : undefined

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

/**
 * The way down in stages, the mirror image of the way up: what contract migrations took comes back before the image of then
 * goes out, and what expand migrations brought goes after it. `undone`: newest first, down to `target`, exclusive. Throws a
 * plain Error with the reason; the caller names the plan.
 */
export function stagesDownOf(
  undone: readonly PlannedMigration[],
  { target, deploysImage, approval }: { target: string; deploysImage: boolean; approval: boolean },
): Stage[] {
  const firstExpand = undone.findIndex(({ phase }) => phase === 'expand')
  const contract = firstExpand < 0 ? undone : undone.slice(0, firstExpand)
  const expand = firstExpand < 0 ? [] : undone.slice(firstExpand)
  const early = expand.find(({ phase }) => phase === 'contract')
  if (early)
    throw new Error(
      `expand migration ${expand[0]?.version} was applied after contract migration ${early.version}: go down to ${early.version} first`,
    )
  const brings = deploysImage && expand.length > 0
  const groups: Pick<Stage, 'phase' | 'migrations' | 'target' | 'deploysImage' | 'approval'>[] = [
    ...(contract.length > 0
      ? [
          {
            ...{ phase: 'undo-contract' as const, migrations: [...contract], approval, deploysImage: brings },
            target: expand[0]?.version ?? target,
          },
        ]
      : brings
        ? [{ phase: 'image' as const, migrations: [], approval: false, deploysImage: true }]
        : []),
    ...(expand.length > 0
      ? [{ phase: 'undo-expand' as const, migrations: [...expand], approval, deploysImage: false, target }]
      : []),
  ]
  return groups.map((group, index) => ({ ...group, number: index + 1 }))
}
