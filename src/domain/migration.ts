/** Of one migration, in characters. Of more nothing is read: a megabyte takes the grammar up to a second, and nothing else runs meanwhile. */
export const LONGEST_SQL = 1_048_576

/** What a plan has of it, which is stored and shown. */
export const LONGEST_SHOWN = 65_536

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
  /** The SQL it will run, where it can be had; never more than `LONGEST_SQL`. */
  sql?: string
  /** Why it cannot, where its tool said that of this migration. */
  unread?: Unread
  /** The versions that it rests on directly, where the history is a graph: then the order of the files is one of several. Absent: all before it. */
  restsOn?: readonly string[]
  /** A marker in its comments that would say nothing: the file, where in it, and what to write. */
  unheard?: string
}

/** Why a migration's SQL cannot be had. */
export interface Unread {
  /** In its tool's words. */
  text: string
  /** In its file, from 1; 1 where the tool names none. */
  line: number
  /** Whether it fails of the same when it is applied. */
  isCertain: boolean
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

/** The versions that have to be applied before these are. `files`: in an order in which they can be applied. */
export function neededBy(
  files: readonly Pick<Migration, 'version' | 'restsOn'>[],
  versions: ReadonlySet<string>,
): Set<string> {
  const needed = new Set<string>()
  let isAll = false
  for (const { version, restsOn } of [...files].reverse()) {
    if (isAll) needed.add(version)
    if (!needed.has(version) && !versions.has(version)) continue
    if (restsOn === undefined) isAll = true
    else for (const one of restsOn) needed.add(one)
  }
  return needed
}

/** The versions that can be applied only after this one. `files`: as of `neededBy`. */
export function restOn(files: readonly Pick<Migration, 'version' | 'restsOn'>[], version: string): Set<string> {
  const found = new Set<string>()
  for (const file of files.slice(files.findIndex((one) => one.version === version) + 1)) {
    if (file.restsOn?.every((one) => one !== version && !found.has(one))) continue
    found.add(file.version)
  }
  return found
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
