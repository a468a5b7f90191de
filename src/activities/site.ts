import type { Autodeploy } from '../adapters/autodeploy/port.js'
import type { BackupEngine } from '../adapters/backup/port.js'
import type { Check } from '../adapters/check/port.js'
import type { PreviousUse } from '../adapters/check/previous.js'
import type { Consumer } from '../adapters/consumer/port.js'
import type { Journal } from '../adapters/journal/journal.js'
import type { RunRecord } from '../adapters/journal/runs.js'
import type { CreateAll } from '../adapters/migrator/create-all.js'
import type { Migrator } from '../adapters/migrator/port.js'
import type { Notifier } from '../adapters/notifier/port.js'
import type { BackupStore } from '../adapters/store/index.js'
import type { Target } from '../adapters/postgres/target.js'
import type { Service } from '../adapters/service/port.js'
import type { EnvironmentConfiguration } from '../domain/configuration.js'
import type { Manifest } from '../domain/manifest.js'
import { safeFailure } from './heartbeat.js'

/** One environment as the worker can reach it: configuration resolved, ports wired. It holds secrets: it never leaves the worker. */
export interface Site {
  configuration: EnvironmentConfiguration
  /** The migrator's role on the database. */
  target: Target
  /** The role that creates, renames and ends sessions; same database. */
  control: Target
  /** The role that reads everything. */
  reader: Target
  /** The role of the checks on the database. */
  verifier: Target
  /** Of headgate.yaml. */
  directory: string
  journal: Journal
  migrator: Migrator
  /** The same migrator for another database: a copy. */
  migratorAt: (target: Target) => Migrator
  /** Makes the release's whole schema at once, where the team has a command for that. */
  createAll: CreateAll | undefined
  /** In the order they are paused. */
  consumers: Consumer[]
  services: { service: Service; ready: Check | undefined; ignoreWhilePaused: readonly string[] }[]
  verify: Check[]
  smoke: Check[]
  notifiers: Notifier[]
  autodeploys: Autodeploy[]
  backups: Record<Manifest['kind'], BackupEngine>
  /** Where dumps go. */
  store: BackupStore
  /** Where rehearsals take their copy from, where that is no backup. */
  rehearsalSource: Target | undefined
  /** Whether the image of before gets on with an expanded database; absent where nobody said how to find out. */
  previousUse: PreviousUse | undefined
  /** Values that must never be shown. */
  secrets: string[]
}

/** What activities are made of. */
export interface Dependencies {
  project: string
  /** The queue of a worker that serves the services of its host, and nothing else. */
  queue?: string
  /** Resolves an environment anew, so that a rotated secret is seen. Throws `ConfigurationInvalid`, `EnvironmentUnknown`, `ReferenceMissing`, `JournalUnavailable`. */
  site(environment: string): Promise<Site>
  /** Names the Temporal this worker is connected to: its cluster and namespace. */
  engine: string
  /** Whether the Temporal server knows our search attributes. */
  searchAttributes: () => Promise<boolean>
  /**
   * Asks the server whether this attempt is still the one it waits for: a worker that was frozen may begin with a step that
   * others have done long ago. Throws `FenceLost`.
   */
  requireCurrent: (taskToken: Uint8Array) => Promise<void>
  /** Asks the server whether a workflow still carries the run. Throws `RunOpen` where one does, be it stuck. */
  requireAbandoned: (run: RunRecord) => Promise<void>
  /** Asks the server to cancel the execution, so that a run a person cancelled closes as cancelled. */
  cancelWorkflow: (workflowId: string, firstExecutionRunId: string) => Promise<void>
}

/** Runs `work` at one environment. What it throws crosses the activity's boundary as a known failure, without the site's secrets. */
export async function onSite<T>(
  dependencies: Dependencies,
  environment: string,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  let secrets: readonly string[] = []
  try {
    const site = await dependencies.site(environment)
    secrets = site.secrets
    return await work(site)
  } catch (error) {
    throw safeFailure(error, secrets)
  }
}
