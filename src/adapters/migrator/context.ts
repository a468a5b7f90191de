import type { Target } from '../postgres/target.js'
import type { ToolHost } from '../process/tool-host.js'
import type { WithTarget } from './tool-environment.js'

/** What a migrator needs beside its own configuration, whose paths are resolved already. */
export interface MigratorContext {
  /** Where whole outputs go; they hold no secret. */
  logDirectory: string
  secrets: readonly string[]
  /** A folder for what is copied out of images; it may be deleted at any time. */
  sources: string
  /** The migrator's role, for a kind that asks its tool for the state. */
  target?: Target
}

/** What the factory of a kind is given. */
export interface HostedContext extends MigratorContext {
  host: ToolHost
  withTarget: WithTarget
}
