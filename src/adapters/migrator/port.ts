import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'
import type { Ledger, Migration, Planned } from '../../domain/migration.js'
import type { ChildSettings, Target } from '../postgres/target.js'

/** What one run of the tool did. `log` is the path of the whole output, `tail` its last 8 KiB, redacted. */
export interface ToolRun {
  log: string
  tail: string
}

export interface UpRequest {
  tag: string
  /** The version to stop at, inclusive. */
  target: string
  /**
   * Everything that may be applied by this call, in order. Anything else that is pending, and a file that is not the planned
   * one any more, is `PlanStale` before any effect.
   */
  planned: readonly Planned[]
  lockTimeoutMs: number
  /** All tries for a lock together. */
  lockBudgetMs: number
  statementTimeoutMs: number
  /** One of the planned, which the ledger marked as half done before anything of this plan: fails as often as it may, it stays marked. */
  halfDone?: string | undefined
  /** Runs what only tells of the ledger and opens sessions of its own: behind a closed gate they are accounted for. */
  asking?: <T>(work: () => Promise<T>) => Promise<T>
}

/** The tool that owns the schema history. It never decides what is pending: the plan did. */
export interface Migrator {
  /** False for a tool that can only go to head: then both phases become one stage. */
  readonly stopsAtTarget: boolean
  /** Whether the tool may run consecutive transactional migrations in one transaction; without it each has its own. */
  readonly sharesTransaction?: boolean
  /** The ledger's table as `schema.table`, where there is one. */
  readonly ledgerTable: string | undefined
  /**
   * The id of the image that the migrations are in; absent where they are in none. `newest` asks its registry first, and takes
   * what is here where that does not answer. Throws `ToolMissing`, `EngineUnreachable`.
   */
  image?(tag: string, which: 'newest' | 'present'): Promise<string>
  /**
   * The release's migrations, in order. Reads files only. An empty or missing folder, duplicate versions, several heads
   * throw `PlanInvalid` naming the file and what to do. `ledger`: the SQL of what it has may be left out; default: as asked last.
   */
  migrations(tag: string, ledger?: Ledger): Promise<Migration[]>
  /**
   * Reads the ledger with our own read-only SQL, never by the tool, unless that owns its state alone (`command`). Creates
   * nothing. `tag`: whose files tell what came before a recorded version; default: those read last.
   */
  ledger(session: Client, tag?: string): Promise<Ledger>
  /**
   * Applies the planned migrations up to `target` as a child process under the fence. May be called again after any
   * failure: what the ledger has is not applied twice. The files are compared with the plan right before whatever reads them
   * starts; a tool of others may still read a file that is edited in the moment between. Throws `MigrationFailed` (the tool
   * said no), `MigrationBlocked` (a lock was not to be had: SQLSTATE 55P03), `PlanStale`, `ToolMissing`.
   */
  up(request: UpRequest, target: Target, fence: Fence): Promise<ToolRun>
  /**
   * The ways down from what the ledger has to `target`, exclusive, in the order they are taken; checksum, SQL and transaction
   * are those of the way down. Throws `PlanInvalid` where `target` is not applied, and where there is no way down. Absent where the tool cannot.
   */
  waysDown?(request: { tag: string; target: string }, ledger: Ledger): Promise<Migration[]>
  /**
   * Undoes the newest applied migrations down to `target`, exclusive; all of them where it is empty. `planned`: the ways down as
   * `waysDown` told them; another one is `PlanStale`, where the tool is ours. Throws as `up`. Absent where the tool cannot.
   */
  down?(
    request: Pick<UpRequest, 'tag' | 'target' | 'lockTimeoutMs' | 'statementTimeoutMs' | 'asking'> &
      Partial<Pick<UpRequest, 'planned' | 'lockBudgetMs'>>,
    target: Target,
    fence: Fence,
  ): Promise<ToolRun>
  /**
   * Writes one version into the ledger, or out of it, in one transaction of ours: what the tool would have left. Nothing else
   * is changed. Twice is once. Absent where the tool alone knows its ledger.
   */
  mark?(
    request: { tag: string; version: string; as: 'applied' | 'pending' },
    target: Target,
    fence: Fence,
  ): Promise<void>
  /**
   * Has a version that is half done begin at its first statement when it is applied next, as `halfDone` of `up`. Twice is once.
   * Absent where the tool alone knows its ledger, and where that marks nothing as half done.
   */
  beginAnew?(request: { tag: string; version: string }, target: Target, fence: Fence): Promise<void>
  /**
   * Has the tool open a session of this name and with these settings, and change nothing: somebody else looks whether they
   * arrive. Returns the end of what it said where it failed, else nothing. Absent where the sessions are our own, and for a
   * tool that nobody knows a harmless word of.
   */
  connect?(request: { tag: string; session: ChildSettings }, target: Target, signal: AbortSignal): Promise<string>
  /** Tools and versions for preflight and doctor, one line each; throws `ToolMissing`. `tag`: the release whose files say how the tool is called. */
  describe(tag: string): Promise<string[]>
}
