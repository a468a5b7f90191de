import type { Target } from '../postgres/target.js'

/** What a migrator needs beside its own configuration, whose paths are resolved already. */
export interface MigratorContext {
  /** Where whole outputs go; they hold no secret. */
  logDirectory: string
  secrets: readonly string[]
  /** The migrator's role, for a kind that asks its tool for the state. */
  target?: Target
}
