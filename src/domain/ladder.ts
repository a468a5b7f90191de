import type { DatabaseState } from './run.js'

/** What was found before anything is put back. Each is a fact, proven or not; none is a wish. */
export interface Found {
  /** Nothing committed since the capture that is not the journal's own; schema, files and sequences equal. */
  unchanged: boolean
  /** Ids of others committed, but schema, files, sequences and every table's rows equal the backup's. */
  rowsEqual: boolean
  /** The only difference is indexes that the run left invalid. */
  onlyInvalidIndexes: boolean
  /** Why the gate cannot be taken as closed; undefined when it is proven closed until now. */
  openBecause: string | undefined
  /** The stage's first contract statement may have committed. */
  contractStarted: boolean
  /** What the ledger has of the stage. */
  applied: 'all' | 'some' | 'none'
  /** Whether every pending migration of the stage leaves nothing behind when it fails. */
  prefixIsClean: boolean
  /** Whether verification of the stage had succeeded. */
  verified: boolean
  backups: readonly ('clone' | 'dump')[]
}

export type Rung =
  | { do: 'nothing'; state: DatabaseState; why: string }
  | { do: 'clean'; why: string }
  | { do: 'swap'; from: 'clone' | 'dump'; why: string }
  | { do: 'ask'; why: string }

/** The cheapest sufficient way back, each rung proven before the next is considered: one pure function. */
export function rungFor(found: Found): Rung {
  if (found.unchanged)
    return {
      do: 'nothing',
      state: 'unchanged',
      why: 'nothing has committed since the step began: proven by transaction ids, schema, files and sequences',
    }
  if (found.rowsEqual)
    return { do: 'nothing', state: 'unchanged', why: 'schema, sequences and every row equal the backup' }
  if (found.onlyInvalidIndexes) return { do: 'clean', why: 'only an invalid index was left' }
  return found.openBecause === undefined ? whileClosed(found) : whileOpen(found, found.openBecause)
}

function whileClosed(found: Found): Rung {
  if (found.contractStarted)
    return { do: 'ask', why: 'a contract statement may have committed: no restore is automatic after it' }
  if (found.backups.includes('clone'))
    return { do: 'swap', from: 'clone', why: 'the gate is proven closed: nobody else wrote' }
  if (found.backups.includes('dump'))
    return { do: 'swap', from: 'dump', why: 'the gate is proven closed: nobody else wrote' }
  return { do: 'ask', why: 'there is no valid backup of this stage' }
}

/** Never a restore over others' writes. */
function whileOpen(found: Found, openBecause: string): Rung {
  if (found.contractStarted)
    return { do: 'ask', why: 'a contract statement may have committed: no previous image runs on it' }
  if (found.applied === 'all' && (found.verified || found.prefixIsClean)) {
    return {
      do: 'nothing',
      state: 'at-target',
      why: `the expanded schema is kept, the previous image runs on it (${openBecause})`,
    }
  }
  if (found.prefixIsClean)
    return {
      do: 'nothing',
      state: 'prefix-kept',
      why: `the committed migrations are kept, the ledger is consistent (${openBecause})`,
    }
  return {
    do: 'ask',
    why: `a migration that is not transactional may have left a part of its work, and a restore is forbidden: ${openBecause}`,
  }
}
