import type { Statement } from './sql-statements.js'

const NAME = '(?:"(?:[^"]|"")*"|[\\w$\\u0080-\\uffff]+)'
const QUALIFIED = `${NAME}(?:\\s?\\.\\s?${NAME})*`
const CREATE_INDEX = new RegExp(
  `^create (?:unique )?index concurrently (?:if not exists )?(${NAME}) on (?:only )?(${QUALIFIED})`,
)
const DROP_INDEX = new RegExp(`^drop index concurrently (?:if exists )?(${QUALIFIED})$`)
const VALIDATE = new RegExp(`^alter table (?:if exists )?(?:only )?${QUALIFIED}(?: ?\\*)? validate constraint ${NAME}$`)

/** `begin`, `commit` and the like, which would break the transaction around a migration. Savepoints do not. */
export const isTransactionControl = ({ words }: Statement): boolean =>
  /^(begin|start transaction|commit|end|abort|prepare transaction)\b/.test(words) ||
  (/^rollback\b/.test(words) && !/^rollback (work |transaction )?to\b/.test(words))

/** Waits for others without anybody waiting behind it: a lock timeout would only break it. */
export const waitsQuietly = ({ words }: Statement): boolean =>
  /\bconcurrently\b/.test(words) ||
  VALIDATE.test(words) ||
  /^analyze\b/.test(words) ||
  (/^vacuum\b/.test(words) && !/\bfull\b/.test(words))

/** Known to refuse a transaction; others that do are recognised by the server's answer. */
export const mustRunAlone = ({ words }: Statement): boolean =>
  (/\bconcurrently\b/.test(words) && !words.startsWith('refresh')) || /^vacuum\b/.test(words)

/** The index that a `create index concurrently` builds, and its table, as written. */
export function concurrentIndexOf({ words }: Statement): { index: string; table: string } | undefined {
  const [, index, table] = CREATE_INDEX.exec(words) ?? []
  return index !== undefined && index !== 'on' && table !== undefined ? { index, table } : undefined
}

/** The index that a `drop index concurrently` drops, as written. */
export const droppedIndexOf = ({ words }: Statement): string | undefined => DROP_INDEX.exec(words)?.[1]

/** Whether running it twice has the effect of running it once. */
export const isRepeatable = (statement: Statement): boolean =>
  VALIDATE.test(statement.words) || /^(vacuum|analyze|reindex)\b/.test(statement.words)

/** What it has done is there in the schema, or done twice is the same; what changes rows, or calls what may, is not among it. */
export const isSeenInSchema = ({ words }: Statement): boolean =>
  /^(?:create|alter|drop|comment|set|reset|analyze|vacuum|reindex)\b/.test(words) && !/\brestart\b/.test(words)

const SERVER_WIDE =
  /^(?:(?:create|alter|drop) (?:role|user(?! mapping)|group|database|tablespace|subscription)\b|reassign owned\b|drop owned\b|alter system\b|prepare transaction\b|(?:comment on|security label on) (?:role|database|tablespace|subscription)\b)/
/** `grant reader to app`, which is of roles; privileges stand on something. */
const ROLE_MEMBERSHIP = /^(?:grant|revoke) (?!.* on )/
const ON_DATABASE = /^(?:grant|revoke) .* on (?:database|tablespace|parameter) /
const SLOT = /\bpg_create_(?:logical|physical)_replication_slot\b|\bpg_replication_origin_create\b/

/** Changes more than its database: roles, other databases, slots of the server. What a function or a `do` block does is not seen. */
export const isServerWide = ({ words }: Statement): boolean =>
  [SERVER_WIDE, ROLE_MEMBERSHIP, ON_DATABASE, SLOT].some((pattern) => pattern.test(words))
