/** One migration as the migrator's files tell it. */
export interface Migration {
  /** What the ledger records: unique and ordered within a project. */
  version: string
  name: string
  phase: 'expand' | 'contract'
  /** Whether a failure of it leaves nothing behind. */
  transactional: boolean
  /** SHA-256 (hex) of the file's bytes, or of what the migrator itself hashes. */
  checksum: string
  hasDown: boolean
  /** The SQL it will run, where it can be had; never more than 64 KiB. */
  sql?: string
  /** A marker in its comments that would say nothing: the file, where in it, and what to write. */
  unheard?: string
}

/** What was planned: a file that has another checksum is another migration. */
export type Planned = Pick<Migration, 'version' | 'checksum'>

/** One row of the migrator's own ledger. */
export interface AppliedMigration {
  version: string
  name?: string
  /** Only where the ledger keeps one. */
  checksum?: string
}

/** What the database says was applied. */
export interface Ledger {
  /** False when the ledger's table does not exist yet. */
  exists: boolean
  applied: AppliedMigration[]
  /** A version the ledger marks as half done. */
  dirty?: string
}

const PHASE = /headgate:phase=(expand|contract)\b/
const NO_TRANSACTION = /headgate:no-transaction\b/

/** `headgate:phase=contract` in a leading comment, a folder `contract/`, or a name ending `.contract.sql`; default expand. */
export function phaseOf(path: string, leadingComment: string): 'expand' | 'contract' {
  const directive = PHASE.exec(leadingComment)?.[1]
  if (directive === 'expand' || directive === 'contract') return directive
  return /(^|\/)contract\//.test(path) || /\.contract\.(up\.)?(sql|ts|js|py)$/.test(path) ? 'contract' : 'expand'
}

export const isTransactional = (leadingComment: string): boolean => !NO_TRANSACTION.test(leadingComment)
