import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  ActivityCancelledError,
  ActivityNotFoundError,
  ActivityPausedError,
  ActivityResetError,
  Client,
} from '@temporalio/client'
import {
  DefaultLogger,
  type LogLevel,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions as TemporalWorkerOptions,
} from '@temporalio/worker'
import { tell } from '../activities/conclude.js'
import { encryption, requireNamespace, requireTls, temporalSettings } from '../client/connection.js'
import { requireAbandoned } from '../client/carrying.js'
import { callService } from '../client/service-calls.js'
import { createActivities, createServiceActivities, type Dependencies, type Site } from '../activities/index.js'
import {
  type ConfigurationSource,
  describeEnvironment,
  environmentNames,
  projectName,
  readConfigurationFile,
  type Settings,
  serviceQueues,
} from '../adapters/configuration/index.js'
import { failure, messageOf, rootMessageOf } from '../domain/failures.js'
import { taskQueue } from '../domain/names.js'
import { type Health, serveHealth } from './health.js'
import { makeCurrent, pinnedTo } from './deployment.js'
import { Journals } from './journals.js'
import { reconcile } from './reconciler.js'
import { knowsSearchAttributes, registerSearchAttributes } from './search-attributes.js'
import { resolveConfiguration, siteOf } from './site.js'

const BUNDLE = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url))
/** The same, for encrypted payloads: failures are converted in another way. */
const ENCRYPTED_BUNDLE = fileURLToPath(new URL('../workflow-bundle-encrypted.js', import.meta.url))
const WORKFLOWS = fileURLToPath(new URL('../workflows/index.js', import.meta.url))
/** A journal that could not be opened is tried again at this pace, so that a grant is noticed without a restart. */
const JOURNAL_RETRY_MS = 5_000
/** How often open runs are compared with what Temporal knows. */
const RECONCILE_MS = 5_000

export interface WorkerOptions {
  settings: Settings
  /** Of the Temporal server; by default what envconfig finds (`TEMPORAL_ADDRESS`, TLS, API key, profiles). */
  address?: string
  /** For a server that was started for one command: whatever else envconfig finds does not count, and it looks after no other run. */
  isLocal?: boolean
  /** Where `/healthz`, `/readyz` and `/metrics` are served; port 0 is a free one; undefined: nowhere. */
  health?: { host: string; port: number }
  /** Each line worth telling a person who watches the worker. */
  onLine: (line: string) => void
  logLevel?: LogLevel
  /** Runs stay with the build that began them: `pinnedTo`. Without it the newest worker goes on with every run. */
  buildId?: string
  /** It serves the services of this queue, on its own host, and no run. */
  queue?: string
}

export interface RunningWorker {
  /** Ends in order: a running step gets its grace, then is handed to the next worker. Twice is once. */
  stop: () => void
  /** Settles when every poller has ended; rejects when one failed. */
  ended: Promise<void>
  /** Environments whose references lead somewhere; what their databases say is found out later. */
  ready: readonly string[]
  healthPort: number | undefined
}

/**
 * Starts one worker for every environment that headgate.yaml names, or for the services of one queue. Throws
 * `ConfigurationInvalid`, `TemporalUnreachable`.
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const { settings, onLine, queue: servicesOf } = options
  const source = await readConfigurationFile(settings.config)
  const project = projectName(source)
  const environments =
    servicesOf === undefined ? environmentNames(source) : environmentsServed(source, project, servicesOf)
  installRuntime(options.logLevel ?? 'WARN')
  const { connection, namespace } = await (options.isLocal
    ? connectTo(options.address === undefined ? {} : { address: options.address }, 'default')
    : connectConfigured(options.address))
  await registerSearchAttributes(connection, namespace)
  const journals = new Journals({ makes: servicesOf === undefined })
  const problems = new Map<string, string>()
  const client = new Client({ connection, namespace, ...encryption() })
  const engine = await engineOf(connection, namespace)
  const site = (environment: string): Promise<Site> =>
    siteOf(settings, journals, environment, {
      queue: servicesOf,
      callService: (queue, call, signal) => callService({ client, namespace }, queue, call, signal),
    })
  const dependencies: Dependencies = {
    ...(servicesOf === undefined ? {} : { queue: servicesOf }),
    project,
    engine,
    site,
    searchAttributes: () => knowsSearchAttributes(connection, namespace),
    requireCurrent: (taskToken) => requireCurrent(client, taskToken),
    requireAbandoned: (run) => requireAbandoned(client, engine, run),
    cancelWorkflow: async (workflowId, firstExecutionRunId) => {
      await client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId }).cancel()
    },
  }
  const activities = servicesOf === undefined ? createActivities(dependencies) : createServiceActivities(dependencies)
  const queues = new Map<string, string[]>()
  for (const environment of environments) {
    const queue = servicesOf ?? (await queueOf(settings, project, environment, problems))
    queues.set(queue, [...(queues.get(queue) ?? []), environment])
  }
  // The journals are looked at from here on, and say for themselves what is wrong.
  const unresolved = new Map(problems)
  const { buildId } = options
  const versioning = buildId === undefined ? {} : { workerDeploymentOptions: pinnedTo(project, buildId) }
  const workers = await Promise.all(
    [...queues.keys()].map((queue) => pollerOf(connection, namespace, queue, activities, versioning)),
  )
  const reconciling = new AbortController()
  const carriesNoRuns = options.isLocal || servicesOf !== undefined
  const reconciled = carriesNoRuns
    ? Promise.resolve()
    : reconcile(
        {
          client,
          engine,
          project,
          everyMs: RECONCILE_MS,
          environments: [...queues].flatMap(([queue, environments]) =>
            environments.map((environment) => ({
              ...{ environment, queue },
              resolved: async () =>
                journals.lastOf(await readConfigurationFile(settings.config), environment, () =>
                  resolveConfiguration(settings, environment),
                ),
              failed: () => journals.forget(environment),
            })),
          ),
          onLine,
          tell: async ({ environment, name, carrier }, text) => {
            const notice = {
              kind: 'stuck' as const,
              text,
              next: `headgate status ${environment}`,
              by: `${carrier}: ${text}`,
            }
            await tell(await site(environment), name, notice, reconciling.signal)
          },
        },
        reconciling.signal,
      )
  const journalCheck = watchJournals(settings, journals, [...queues.values()].flat(), problems, onLine)
  const health = options.health && (await serveHealth(options.health, healthOf(problems, workers)))
  const stop = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
  }
  const current =
    buildId === undefined
      ? Promise.resolve()
      : makeCurrent(connection, namespace, { project, buildId }, onLine, reconciling.signal)
  const ended = Promise.all(workers.map((worker) => worker.run()))
    .then(() => {})
    .finally(async () => {
      clearInterval(journalCheck)
      reconciling.abort()
      await Promise.all([reconciled, current])
      await health?.close()
      await journals.close()
      await connection.close().catch(() => {})
    })
  ended.catch(stop)
  for (const line of readyLines(project, queues, unresolved)) onLine(line)
  const ready = environments.filter((environment) => !unresolved.has(environment))
  return { stop, ended, ready, healthPort: health?.port }
}

/**
 * Those with services of `queue`, whatever references lead to. Throws `ConfigurationInvalid` where there is none, and where runs are
 * carried on it: a worker that serves services alone would take their steps, and fail each.
 */
function environmentsServed(source: ConfigurationSource, project: string, queue: string): string[] {
  const all = environmentNames(source)
  const served = all.filter((environment) => serviceQueues(source, environment).includes(queue))
  if (served.length === 0) {
    const known = [...new Set(all.flatMap((environment) => serviceQueues(source, environment)))].sort()
    const hint = known.length > 0 ? `known: ${known.join(', ')}` : 'none has a queue'
    throw failure('ConfigurationInvalid', `no service of ${source.file} has queue: ${queue}; ${hint}`)
  }
  const carried = all.find((environment) => {
    const { queue: own = taskQueue(project, environment) } = describeEnvironment(source, environment)
    return own === queue
  })
  if (carried === undefined) return served
  throw failure(
    'ConfigurationInvalid',
    `${queue} is the queue that the runs of ${carried} are on: give the service another one`,
  )
}

/** Which environments are served on which queue, and which cannot be yet, and why. */
function readyLines(project: string, queues: Map<string, string[]>, unresolved: Map<string, string>): string[] {
  const served = [...queues].flatMap(([queue, names]) => {
    const ready = names.filter((name) => !unresolved.has(name))
    return ready.length === 0 ? [] : [`${ready.join(', ')} on ${queue}`]
  })
  return [
    `worker ready: project ${project}, ${served.join('; ') || 'no environment yet'}`,
    ...[...unresolved].map(([environment, problem]) => notReady(environment, problem)),
  ]
}

const notReady = (environment: string, problem: string): string => `${environment}: not ready: ${problem}`

/** The attempt's own heartbeat, whose answer is waited for. */
async function requireCurrent(client: Client, taskToken: Uint8Array): Promise<void> {
  try {
    await client.activity.heartbeat(taskToken)
  } catch (error) {
    if (error instanceof ActivityNotFoundError)
      throw failure('FenceLost', 'this attempt is over: the server waits for another one, or for none')
    // Asked to stop, or to pause: it hears of that in its own time.
    const isCurrent =
      error instanceof ActivityCancelledError ||
      error instanceof ActivityPausedError ||
      error instanceof ActivityResetError
    if (!isCurrent) throw error
  }
}

let runtimeInstalled = false
/** Temporal's own log goes to standard error; once per process. */
function installRuntime(level: LogLevel): void {
  if (runtimeInstalled) return
  runtimeInstalled = true
  Runtime.install({
    // Without this, a signal stops the worker before we have said so.
    shutdownSignals: [],
    logger: new DefaultLogger(level, ({ level, message, meta }) => {
      if (message === 'Activity failed' || message === 'Workflow task failed') return
      const at = new Date().toISOString()
      const of = typeof meta?.workflowId === 'string' ? ` ${meta.workflowId}` : ''
      process.stderr.write(`${at} ${level}${of} ${message}${meta?.error ? `: ${rootMessageOf(meta.error)}` : ''}\n`)
    }),
  })
}

/** Names the Temporal that is connected: one that never knew a run cannot tell that its workflow is gone. */
async function engineOf({ workflowService }: NativeConnection, namespace: string): Promise<string> {
  const { clusterId } = await workflowService.getClusterInfo({}).catch(() => ({ clusterId: '' }))
  return `${clusterId}/${namespace}`
}

function connectConfigured(address: string | undefined): ReturnType<typeof connectTo> {
  const { connectionOptions, namespace = 'default' } = temporalSettings()
  return connectTo({ ...connectionOptions, ...(address === undefined ? {} : { address }) }, namespace)
}

async function connectTo(
  options: ReturnType<typeof temporalSettings>['connectionOptions'],
  namespace: string,
): Promise<{ connection: NativeConnection; namespace: string }> {
  const where = options.address ?? 'localhost:7233'
  requireTls(options)
  const connection = await NativeConnection.connect(options).catch((error: unknown) => {
    throw failure('TemporalUnreachable', `cannot reach Temporal at ${where}: ${innermost(messageOf(error))}`, error)
  })
  try {
    await requireNamespace(connection.workflowService, namespace, where)
    return { connection, namespace }
  } catch (error) {
    await connection.close().catch(() => {})
    throw error
  }
}

/** What the operating system said, out of the words of all that it passed. */
const innermost = (text: string): string => /message: "([^"]+)"/.exec(text)?.[1] ?? text

/** An environment whose references do not resolve yet is served all the same: its runs say what is missing. */
async function queueOf(
  settings: Settings,
  project: string,
  environment: string,
  problems: Map<string, string>,
): Promise<string> {
  try {
    return (await resolveConfiguration(settings, environment)).queue ?? taskQueue(project, environment)
  } catch (error) {
    problems.set(environment, messageOf(error))
    return taskQueue(project, environment)
  }
}

function pollerOf(
  connection: NativeConnection,
  namespace: string,
  queue: string,
  activities: object,
  versioning: Pick<TemporalWorkerOptions, 'workerDeploymentOptions'>,
): Promise<Worker> {
  const converting = encryption()
  const codePath = converting.dataConverter.failureConverterPath ? ENCRYPTED_BUNDLE : BUNDLE
  return Worker.create({
    connection,
    namespace,
    taskQueue: queue,
    activities,
    ...converting,
    ...versioning,
    ...(existsSync(codePath) ? { workflowBundle: { codePath } } : { workflowsPath: WORKFLOWS }),
    // The server asks a run's last worker first, for this long: while that one is dead the run answers nobody. Default 10 s.
    stickyQueueScheduleToStartTimeout: '2s',
    shutdownGraceTime: '5s',
    shutdownForceTime: '30s',
    maxConcurrentActivityTaskExecutions: 20,
    // A worker that freezes takes with it as many attempts as it has questions for work outstanding: by default ten of each,
    // more than a step has attempts.
    // (`maxConcurrentActivityTaskPolls` does nothing in this SDK.)
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
    workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 2 },
    maxCachedWorkflows: 100,
    // What an attempt says is flushed at 0.8 of its heartbeat timeout, or this.
    maxHeartbeatThrottleInterval: '2s',
  })
}

/** Opens each environment's journal in the background: without the right to create one the worker is up but not ready. */
function watchJournals(
  settings: Settings,
  journals: Journals,
  environments: readonly string[],
  problems: Map<string, string>,
  onLine: (line: string) => void,
): NodeJS.Timeout {
  const look = async (environment: string): Promise<void> => {
    try {
      await journals.of(await resolveConfiguration(settings, environment))
      if (problems.delete(environment)) onLine(`${environment}: ready now`)
    } catch (error) {
      const problem = messageOf(error)
      if (problems.get(environment) !== problem) onLine(notReady(environment, problem))
      problems.set(environment, problem)
    }
  }
  for (const environment of environments) void look(environment)
  return setInterval(() => {
    for (const environment of problems.keys()) void look(environment)
  }, JOURNAL_RETRY_MS)
}

function healthOf(problems: ReadonlyMap<string, string>, workers: readonly Worker[]): Health {
  return {
    problems: () => [
      ...[...problems].map(([environment, problem]) => `${environment}: ${problem}`),
      ...workers
        .filter((worker) => worker.getState() !== 'RUNNING')
        .map((worker) => `${worker.options.taskQueue} is ${worker.getState().toLowerCase()}`),
    ],
    numbers: () => ({
      headgate_worker_pollers: workers.length,
      headgate_worker_resident_bytes: process.memoryUsage.rss(),
    }),
  }
}
