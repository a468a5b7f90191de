import { z } from 'zod'
import { Cause } from './failures.js'
import { Name, RunName, Tag } from './names.js'
import { Outcome } from './outcome.js'
import { Mark, PlanSummary, Requester, Version } from './plan.js'

export const STEPS = [
  'plan',
  'preflight',
  'await-approval',
  'hold-autodeploy',
  'pause-consumers',
  'quiesce-writers',
  'backup',
  'migrate',
  'verify',
  'restart-services',
  'smoke',
  'resume-consumers',
  'release-autodeploy',
  'redeploy-previous',
  'put-back',
  'release-writers',
  'restore-backup',
  'look-around',
  'accept',
  'tidy-backups',
  'repair',
  'init-db',
  'report',
] as const
export const StepName = z.enum(STEPS)
export type StepName = z.infer<typeof StepName>

/** One line of the table of steps. */
export const StepLine = z.strictObject({
  step: StepName,
  stage: z.int(),
  state: z.enum(['running', 'done', 'failed', 'waiting']),
  text: z.string(),
  startedAt: z.number(),
  endedAt: z.number().optional(),
  note: z.string().optional(),
})
export type StepLine = z.infer<typeof StepLine>

export const Decision = z.strictObject({
  stage: z.int(),
  decision: z.enum(['approve', 'reject']),
  by: z.string(),
  verified: z.boolean(),
  /** Of the plan it is about: a decision about another one does not count. */
  digest: z.string().default(''),
})
export type Decision = z.infer<typeof Decision>

/** What a waiting run takes with it when it continues as new. */
export const Carried = z.strictObject({
  summary: PlanSummary,
  stageIndex: z.int(),
  earlierStageDone: z.boolean(),
  lines: z.array(StepLine),
  decisions: z.array(Decision),
  held: z.boolean(),
  refusals: z.int(),
})
export type Carried = z.infer<typeof Carried>

/** The ways out of `needs-operator`. */
export const RecoverChoice = z.enum(['finish', 'fix', 'restore', 'redeploy', 'accept'])
export type RecoverChoice = z.infer<typeof RecoverChoice>
/** Who asks for a recovery where nobody was asked. */
export const RECONCILER = 'the reconciler'
/** What a recovery did: `resume` where nothing but letting go was right. */
export type RecoverWay = RecoverChoice | 'resume'

export const RunInput = z.strictObject({
  project: Name,
  environment: Name,
  tag: Tag.optional(),
  requester: Requester,
  /** The plan the requester looked at: refused when the worker's differs. */
  digest: z.string().optional(),
  carried: Carried.optional(),
  /** The backup that `restore` puts in place. */
  backup: z.string().max(128).optional(),
  /** What `repair` marks. */
  mark: Mark.optional(),
  /** The version that `rollback` takes the database down to. */
  downTo: Version.optional(),
  /** Whether `init-db` drops the database that is there. */
  drop: z.literal(true).optional(),
  /** What `recover` does with the open run. */
  recover: z
    .strictObject({
      run: RunName.optional(),
      /** `automatic`: the workflow `from` is gone, and nobody was asked. */
      choice: z.enum([...RecoverChoice.options, 'automatic']),
      from: z.string().max(300).optional(),
      /** What the open run is, where it is a backup: its recovery has a workflow ID of its own. */
      of: z.literal('backup').optional(),
    })
    .optional(),
})
export type RunInput = z.infer<typeof RunInput>

/** Where the database is after the way back. */
export const DatabaseState = z.enum(['untouched', 'unchanged', 'restored', 'prefix-kept', 'at-target', 'unknown'])
export type DatabaseState = z.infer<typeof DatabaseState>

/** How a run ended, for the workflow's result, the journal and the last line on the terminal. */
export const Ending = z.strictObject({
  run: z.string(),
  outcome: Outcome,
  cause: Cause.optional(),
  exit: z.int(),
  /** Why, in one line. */
  reason: z.string(),
  database: z.string(),
  services: z.string(),
  consumers: z.string(),
  next: z.string(),
  /** Of what failed: `E210`. */
  code: z.string().optional(),
  /** What a person does about it, in words. */
  hint: z.string().optional(),
  /** Who took the state as it is, where it could not be proven to be more than that. */
  acceptedBy: z.string().optional(),
})
export type Ending = z.infer<typeof Ending>

/** What the `state` query answers: all that `status` and `watch` show. */
export const RunState = z.strictObject({
  run: z.string(),
  project: z.string(),
  environment: z.string(),
  tag: z.string().optional(),
  database: z.string(),
  digest: z.string(),
  state: z.enum(['running', 'waiting', 'held', 'ended']),
  step: z.string(),
  stage: z.int(),
  /** The one command to type, when it waits for a person. */
  waiting: z.string().optional(),
  deadline: z.number().optional(),
  /** A hold that was asked for and is not in force yet, in words. */
  hold: z.string().optional(),
  lines: z.array(StepLine),
  ending: Ending.optional(),
})
export type RunState = z.infer<typeof RunState>
