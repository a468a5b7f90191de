import { z } from 'zod'

/** What a rule is about, and what to write instead. The page `docs/review.md` is made of this. */
export const RULES = {
  syntax: {
    about: 'The statement does not parse.',
    instead: 'put it right; the grammar is that of PostgreSQL 18',
  },
  'missing-name': {
    about:
      'The code of the migration uses a name or a module that there is not: it can be read, and fails when it runs (Alembic).',
    instead: 'import it, or spell it as it is where it is defined',
  },
  'concurrently-in-transaction': {
    about: '`concurrently` cannot run in a transaction.',
    instead: 'take the migration out of its transaction: docs/migrators.md says how for each migrator',
  },
  'enum-value-in-same-transaction': {
    about: 'A new value of an enum cannot be used in the transaction that adds it.',
    instead: 'use the value in a later migration',
  },
  'breaks-previous-image': {
    about: 'The image that runs until the stage is over, and that a rollback brings back, may still use it.',
    instead: 'mark the migration headgate:phase=contract: it is applied once the new image runs, after an approval',
  },
  'not-null-without-default': {
    about:
      'A column that must not be null and has no default: it fails on a table with rows, and the previous image cannot insert.',
    instead: 'add it with a default, or nullable, then fill it, then set it not null',
  },
  'volatile-default': {
    about: 'A default that is computed for each row rewrites the table.',
    instead: 'add the column without it, set the default, fill the old rows in batches',
  },
  'type-change-rewrites': {
    about: 'The new type is stored in another way: the table and its indexes are written anew.',
    instead: 'add a column of the new type, fill it in batches, and drop the old one in a contract migration',
  },
  'table-rewrite': {
    about: 'The table is written anew.',
    instead: 'do it in a maintenance window, or use pg_repack',
  },
  'set-not-null-scans': {
    about: 'Every row is looked at while nobody can read or write.',
    instead: 'add check (column is not null) not valid, validate it in a migration of its own, then set not null',
  },
  'constraint-scans': {
    about: 'Every row is checked while writers, or everybody, wait.',
    instead: 'add it not valid, and validate it in a migration of its own',
  },
  'constraint-builds-index': {
    about: 'The index is built while nobody can read or write.',
    instead: 'create unique index concurrently, then add constraint ... using index',
  },
  'index-without-concurrently': {
    about: 'Writers wait until the index is built.',
    instead: 'create, drop or reindex it concurrently, out of its transaction',
  },
  'explicit-lock': {
    about: 'A lock that is taken by hand is held to the end of the transaction.',
    instead: 'leave it out: each statement takes the lock that it needs',
  },
  'data-in-one-transaction': {
    about:
      'Many rows are changed at once, or may be as a condition leaves them: their locks are held, and their old versions kept, until the end.',
    instead: 'change them in batches, beside the release',
  },
  'unnamed-constraint': {
    about: 'The server chooses the name: another database may have another one, and a way down does not find it.',
    instead: 'write constraint NAME before it',
  },
  'enum-left-by-way-down': {
    about: 'The migration makes an enum that its way down leaves: it cannot be applied again.',
    instead:
      'drop the type at the end of the way down (Alembic: sa.Enum(name=...).drop(op.get_bind(), checkfirst=True))',
  },
  'no-way-down': {
    about: 'The migration cannot be undone by the migrator.',
    instead: 'write its way down, or say that there is none',
  },
  squawk: {
    about:
      'What squawk finds, where it is installed beside the worker, and no rule above looks at; waived or excluded by its own name in `.squawk.toml`.',
    instead: 'see squawkhq.com/docs/rules, or exclude it in .squawk.toml beside headgate.yaml',
  },
  'not-read': {
    about:
      'What a block of code does cannot be told from outside; nor what a migration does whose SQL its tool cannot print, as one that reads rows.',
    instead: 'see what it does: `headgate rehearse`',
  },
} as const

export const RuleName = z.enum(Object.keys(RULES) as [keyof typeof RULES, ...(keyof typeof RULES)[]])
export type RuleName = z.infer<typeof RuleName>

/** `stop`: the run does not begin. `warn`: it does, and people should know. `note`: good to know. */
export const Level = z.enum(['stop', 'warn', 'note'])

export const Finding = z.strictObject({
  rule: RuleName,
  version: z.string(),
  /** In the migration's SQL, from 1; in its file where the SQL cannot be had. */
  line: z.int(),
  level: Level,
  /** What it is about here, whom it blocks, and for how long at this size. */
  text: z.string(),
  /** Why it was let through. */
  waived: z.string().optional(),
})
export type Finding = z.infer<typeof Finding>

/** A lock that a statement takes on a table that is there already. */
export const ExpectedLock = z.strictObject({
  version: z.string(),
  line: z.int(),
  table: z.string(),
  /** As `lock table` spells it: ACCESS EXCLUSIVE. */
  mode: z.string(),
  /** What is done under it: `brief` is a change of the catalog alone. */
  work: z.enum(['brief', 'scan', 'index', 'rewrite', 'rows']),
  /** Of the table; undefined where it could not be asked. */
  bytes: z.number().optional(),
  /** How long it may be held, by the size alone. */
  estimateMs: z.number().optional(),
})
export type ExpectedLock = z.infer<typeof ExpectedLock>

/** What is known of pending migrations before they run. */
export const Review = z.strictObject({
  findings: z.array(Finding),
  locks: z.array(ExpectedLock),
  /** Versions whose SQL could not be had. */
  unread: z.array(z.string()),
  /** Why nothing could be looked at. */
  failed: z.string().optional(),
})
export type Review = z.infer<typeof Review>

/** Where there is nothing to look at. */
export const NOTHING_REVIEWED: Review = { findings: [], locks: [], unread: [] }

/** A finding that is let through, with its reason; without `version` wherever the rule finds something. */
export const Waiver = z.strictObject({
  rule: RuleName.describe('The rule'),
  version: z.string().min(1).optional().describe('In this migration only'),
  reason: z.string().min(1).describe('Why: it stands in the plan and in the report'),
})
export type Waiver = z.infer<typeof Waiver>
