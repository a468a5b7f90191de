import type { Client } from 'pg'
import type { Target } from '../postgres/target.js'

/** What a check may ask for. */
export interface CheckContext {
  /** That the services run, where one is known. */
  tag: string | undefined
  /** The migrator's version the running stage brings: `readyz` is compared with it, not with head. */
  expectedVersion: string | undefined
  /** Names of sub-checks that may be stale because the run paused what feeds them. */
  ignoring: readonly string[]
  run: string
  /** Called with each session a check opens on the database, before it is used: behind a closed gate they are counted. */
  onSession?: (session: Client) => Promise<void>
}

export interface CheckResult {
  name: string
  ok: boolean
  /** What it found, in one line, without secrets. */
  found: string
}

/** What a kind gets beside its own configuration. */
export interface CheckSetting {
  /** The database, as the role that only reads. */
  target: Target
  /** Of the sessions it opens; at most 63 bytes. */
  applicationName: string
  /** Where programs run: the folder of headgate.yaml. */
  directory: string
  /** Known secret values, redacted wherever something is shown. */
  secrets: readonly string[]
}

/** A proof. It only looks. */
export interface Check {
  readonly name: string
  /** One sample, `proveCheck` takes as many as it needs; does not throw for a negative answer, only when aborted. */
  run(context: CheckContext, signal: AbortSignal): Promise<CheckResult>
  /** How long a negative answer may turn positive. 0 for a check that is asked once. */
  readonly withinMs: number
  /** How many positive answers in a row prove it. */
  readonly successes: number
  /** Why it is asked in a run alone, as "it sends something"; undefined where anybody may ask at any time. */
  readonly onlyInRun?: string
}
