import { z } from 'zod'
import { OwnSession } from '../../domain/fence.js'

const File = z.strictObject({
  version: z.string(),
  name: z.string(),
  checksum: z.string(),
  transactional: z.boolean(),
  hasDown: z.boolean(),
  path: z.string(),
  downPath: z.string().optional(),
})
export type RequestedFile = z.infer<typeof File>
const PlannedFile = File.pick({ version: true, checksum: true })

/** File descriptor on which the child reads an empty line for each session that it told of: only then it may use it. */
export const ANSWERS_FD = 3

/** What the child reads on its standard input. Connection and names come by PG* variables. */
export const UmzugRequest = z.strictObject({
  direction: z.enum(['up', 'down']),
  files: z.array(File),
  table: z.string(),
  target: z.string(),
  /** With the checksums of the plan, not those of the files as they are now. */
  planned: z.array(PlannedFile),
  /** A version whose row is dirty since before this plan: that stays when nothing of it could be done. */
  halfDone: z.string().optional(),
  lockTimeoutMs: z.number(),
  lockBudgetMs: z.number(),
  statementTimeoutMs: z.number(),
})
export type UmzugRequest = z.infer<typeof UmzugRequest>

/** What the child says, one JSON line each. */
export const UmzugEvent = z.discriminatedUnion('event', [
  /** A session it has opened, before it is used: behind a closed gate each is accounted for. The child waits for an answer. */
  z.strictObject({ event: z.literal('session'), session: OwnSession }),
  z.strictObject({ event: z.literal('started'), version: z.string() }),
  z.strictObject({ event: z.literal('finished'), version: z.string() }),
  z.strictObject({ event: z.literal('waiting'), version: z.string(), blockers: z.array(z.string()) }),
  z.strictObject({
    event: z.literal('failed'),
    code: z.enum([
      'MigrationFailed',
      'MigrationBlocked',
      'StateUnexpected',
      'PlanInvalid',
      'PlanStale',
      'DatabaseUnreachable',
      'LoginRefused',
      'RightsMissing',
      'GuardFailed',
      'Unexpected',
    ]),
    message: z.string(),
    sqlstate: z.string().optional(),
    changed: z.string().optional(),
    evidence: z.string().optional(),
  }),
])
export type UmzugEvent = z.infer<typeof UmzugEvent>
