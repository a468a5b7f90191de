import { z } from 'zod'

/** A lock on a table that was there before the migration, and how long it was held: to the end of its transaction. */
export const MeasuredLock = z.strictObject({
  table: z.string(),
  /** As `lock table` spells it: ACCESS EXCLUSIVE. */
  mode: z.string(),
  heldMs: z.number(),
})
export type MeasuredLock = z.infer<typeof MeasuredLock>

/** One statement as it ran. */
export const MeasuredStatement = z.strictObject({
  /** Without its texts and comments: a copy of production may have put people's data there. */
  sql: z.string(),
  ms: z.number(),
  /** That it took first, or more strongly than a statement before it in its transaction. */
  locks: z.array(MeasuredLock),
  /** Tables and indexes that were written anew. */
  rewrites: z.array(z.string()),
  /** Written by it; undefined where the server does not say. */
  rows: z.number().optional(),
  /** Of the whole server while it ran: others may have part in it. */
  walBytes: z.number(),
  /** It ended outside of a transaction before anybody could look: what it locked is not known. */
  unseen: z.literal(true).optional(),
})
export type MeasuredStatement = z.infer<typeof MeasuredStatement>

export const MeasuredMigration = z.strictObject({
  version: z.string(),
  name: z.string(),
  /** It counts for this very file. */
  checksum: z.string(),
  phase: z.enum(['expand', 'contract']),
  /** Of the tool, its start included. */
  ms: z.number(),
  temporaryBytes: z.number(),
  /** Those that locked, wrote or took long. */
  statements: z.array(MeasuredStatement),
  /** What it failed of: the migrations after it were not tried. */
  failed: z.string().optional(),
  /** Of a tool that applies all at once: the version whose figures are those of all. */
  measuredWith: z.string().optional(),
})
export type MeasuredMigration = z.infer<typeof MeasuredMigration>

/** What pending migrations did to a copy of the database. */
export const Rehearsal = z.strictObject({
  at: z.iso.datetime(),
  tag: z.string().optional(),
  source: z.strictObject({
    kind: z.enum(['dump', 'clone', 'database']),
    name: z.string(),
    takenAt: z.iso.datetime().optional(),
  }),
  /** What the database has applied and the copy had not: it was applied there first, and rows that came since were not there. */
  behind: z.array(z.string()).optional(),
  /** Of the copy, before the first migration. */
  bytes: z.number(),
  serverVersion: z.string(),
  migrations: z.array(MeasuredMigration),
  /** What became of `rehearsal.previous` on the expanded copy. */
  previous: z.strictObject({ isFine: z.boolean(), said: z.string() }).optional(),
})
export type Rehearsal = z.infer<typeof Rehearsal>

/** Whether everything that was tried went well. */
export const wentWell = ({ migrations, previous }: Rehearsal): boolean =>
  migrations.every(({ failed }) => failed === undefined) && previous?.isFine !== false

/** The strongest hold on each table: the longest one of its strongest mode. */
export function longestHolds({ statements }: MeasuredMigration): MeasuredLock[] {
  const holds = new Map<string, MeasuredLock>()
  for (const lock of statements.flatMap(({ locks }) => locks)) {
    const known = holds.get(lock.table)
    const isMore =
      known === undefined ||
      strengthOf(lock.mode) > strengthOf(known.mode) ||
      (lock.mode === known.mode && lock.heldMs > known.heldMs)
    if (isMore) holds.set(lock.table, lock)
  }
  return [...holds.values()]
}

/** Weakest first, as PostgreSQL's table of conflicting locks has them. */
const MODES = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
]

/** How many other modes are weaker. */
export const strengthOf = (mode: string): number => MODES.indexOf(mode)
