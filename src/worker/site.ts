import { dirname, join, resolve } from 'node:path'
import type { Site } from '../activities/index.js'
import { pathToFileURL } from 'node:url'
import { createAutodeploy } from '../adapters/autodeploy/index.js'
import type { Autodeploy } from '../adapters/autodeploy/port.js'
import { createBackupEngines } from '../adapters/backup/index.js'
import { toolsHostOf } from '../adapters/backup/tools-host.js'
import { createChecks, createReadiness } from '../adapters/check/index.js'
import { previousUse } from '../adapters/check/previous.js'
import {
  knownSecrets,
  readConfigurationFile,
  type ResolveOptions,
  resolveEnvironment,
  type Settings,
} from '../adapters/configuration/index.js'
import { createConsumer } from '../adapters/consumer/index.js'
import { createAllOf } from '../adapters/migrator/create-all.js'
import { createMigrator } from '../adapters/migrator/index.js'
import { createNotifier } from '../adapters/notifier/index.js'
import type { Migrator } from '../adapters/migrator/port.js'
import { parseTarget, type Target } from '../adapters/postgres/target.js'
import { runProgram } from '../adapters/process/run.js'
import type { Reach } from '../adapters/service/elsewhere.js'
import { createService } from '../adapters/service/index.js'
import { createStore } from '../adapters/store/index.js'
import type { EnvironmentConfiguration } from '../domain/configuration.js'
import { failure } from '../domain/failures.js'
import type { ServiceCall } from '../domain/service-call.js'
import type { Journals } from './journals.js'

const REFERENCE_TIMEOUT_MS = 30_000

/** Reads headgate.yaml and resolves one environment anew. Throws `ConfigurationInvalid`, `EnvironmentUnknown`, `ReferenceMissing`. */
export async function resolveConfiguration(settings: Settings, environment: string): Promise<EnvironmentConfiguration> {
  return resolveEnvironment(await readConfigurationFile(settings.config), environment, WHERE_REFERENCES_LEAD)
}

/** This process's environment, and programs that it may run. */
export const WHERE_REFERENCES_LEAD: ResolveOptions = {
  env: process.env,
  runCommand: async (command, { cwd }) => {
    const result = await runProgram(
      { name: command[0] ?? 'command', command, cwd, timeoutMs: REFERENCE_TIMEOUT_MS },
      new AbortController().signal,
    )
    if (result.exitCode !== 0) throw failure('ReferenceMissing', `${command[0]} ended with ${result.exitCode}`)
    return result.stdout
  },
}

/** Where what is copied out of images is kept. */
export const sourcesOf = ({ cache }: Settings): string => join(cache, 'images')

/** What a worker is to services of other hosts. */
export interface WorkerReach {
  queue: string | undefined
  callService: (queue: string, call: ServiceCall, signal: AbortSignal) => Promise<unknown>
}

/** Wires the ports of one environment. Connects to nothing but the journal. */
export async function siteOf(
  settings: Settings,
  journals: Journals,
  environment: string,
  { queue, callService }: WorkerReach,
): Promise<Site> {
  const configuration = await resolveConfiguration(settings, environment)
  const secrets = knownSecrets(configuration)
  const { url, urls, services, consumers, pause } = configuration
  const target = parseTarget(url)
  const control = parseTarget(urls.control ?? url)
  const reader = parseTarget(urls.backup ?? url)
  const directory = dirname(resolve(settings.config))
  const logDirectory = join(settings.home, 'logs', configuration.project, environment)
  const context = { directory, secrets }
  const { project } = configuration
  const reach: Reach = {
    queue,
    callService: (at, service, call, signal) => callService(at, { project, environment, service, call }, signal),
  }
  const verifier = parseTarget(urls.verify ?? url)
  const checks = { target: verifier, applicationName: 'headgate check', directory, secrets }
  const { to, jobs } = configuration.backup === false ? { to: undefined, jobs: 1 } : configuration.backup
  const storeUrl = to ?? pathToFileURL(join(settings.home, 'backups')).href
  const store = createStore(storeUrl)
  const migratorAt = (at: Target): Migrator =>
    createMigrator(configuration.migrator, { logDirectory, secrets, target: at, sources: sourcesOf(settings) })
  const { from, previous, within } = configuration.rehearsal
  return {
    configuration,
    directory,
    target,
    control,
    reader,
    verifier,
    journal: await journals.of(configuration),
    migrator: migratorAt(target),
    migratorAt,
    createAll: createAllOf(configuration.migrator, directory, {
      ...{ logDirectory, secrets, sources: sourcesOf(settings) },
    }),
    consumers: (pause ?? Object.keys(consumers)).flatMap((name) => {
      const consumer = consumers[name]
      return consumer ? [createConsumer(name, consumer, context)] : []
    }),
    services: Object.entries(services).map(([name, service]) => ({
      service: createService(name, service, context, reach),
      ready: service.ready === undefined ? undefined : createReadiness({ service: name, ...service.ready }, checks),
      ignoreWhilePaused: service.ready?.ignoreWhilePaused ?? [],
    })),
    verify: createChecks(configuration.verify, checks),
    smoke: createChecks(configuration.smoke, checks),
    notifiers: configuration.notify.map((notifier) => createNotifier(notifier, context)),
    autodeploys: namedApart(
      configuration.autodeploy.map((one) =>
        createAutodeploy(one, { ...context, project: configuration.project, environment }),
      ),
    ),
    backups: createBackupEngines({
      target: reader,
      controlTarget: control,
      store: createStore(storeUrl),
      jobs,
      logDirectory,
      secrets,
      host: toolsHostOf(configuration.tools, sourcesOf(settings)),
    }),
    store,
    previousUse: previous && previousUse({ command: previous, within }, context),
    rehearsalSource: from === undefined ? undefined : parseTarget(from),
    secrets,
  }
}

/** They are known by their names, in plans and in the journal. Throws `ConfigurationInvalid`. */
function namedApart(autodeploys: Autodeploy[]): Autodeploy[] {
  const names = autodeploys.map(({ name }) => name)
  const double = names.find((name, index) => names.indexOf(name) !== index)
  if (double === undefined) return autodeploys
  throw failure('ConfigurationInvalid', `two entries of autodeploy are called ${double}`, undefined, {
    hint: 'give each a name of its own: name: NAME',
  })
}
