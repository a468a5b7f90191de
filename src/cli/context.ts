import { type Command, Option } from 'commander'
import {
  type ConfigurationSource,
  describeEnvironment,
  projectName,
  readConfigurationFile,
  readSettings,
  type Settings,
} from '../adapters/configuration/index.js'
import { readDevRecord } from '../adapters/process/dev-record.js'
import type { Engine } from '../client/connection.js'
import type { Place } from '../client/runs.js'
import { failure } from '../domain/failures.js'
import { environmentOf, Name, RunName } from '../domain/names.js'
import { openTerminal, type Terminal } from './terminal.js'

/** What every command is given. */
export interface Context {
  readonly settings: Settings
  readonly terminal: Terminal
  /** The configuration; undefined where there is none and none was asked for. Throws `ConfigurationInvalid`. */
  source: () => Promise<ConfigurationSource | undefined>
  project: () => Promise<string>
  /** Where an environment's runs are. Throws `EnvironmentUnknown` where the file is there and does not name it. */
  place: (environment: string) => Promise<Place>
  /** Of a run's name or an environment's. */
  placeOf: (runOrEnvironment: string) => Promise<Place & { run?: string }>
  /** Undefined: as the environment's variables and profiles say. */
  address: () => Promise<string | undefined>
  engine: () => Promise<Engine>
  close: () => Promise<void>
}

/** Options of every command; one that answers in more formats has said so itself. */
export function addPlaceOptions(command: Command): void {
  command
    .option('--project <name>', 'the project; else HEADGATE_PROJECT, else the name in headgate.yaml')
    .option('--config <file>', 'the configuration; else HEADGATE_CONFIG, else ./headgate.yaml')
  if (!command.options.some(({ short }) => short === '-o'))
    command.addOption(new Option('-o, --output <format>', 'how to answer').choices(['text', 'json']).default('text'))
}

export function openContext(command: Command): Context {
  const { project, config, output, key } = command.opts<Record<'project' | 'config' | 'output' | 'key', string>>()
  const settings = readSettings(process.env, { project, config, key })
  const isAskedFor = config !== undefined || Boolean(process.env.HEADGATE_CONFIG)
  let opened: Promise<Engine> | undefined
  const context: Context = {
    settings,
    terminal: openTerminal(output === 'json'),
    source: once(() => sourceOf(settings, isAskedFor)),
    project: async () => settings.project ?? projectOf(await context.source()),
    place: async (environment) => placeIn(environment, await context.project(), await context.source()),
    placeOf: async (name) => {
      const isRun = RunName.safeParse(name).success
      const place = await context.place(isRun ? environmentOf(name) : name)
      return isRun ? { ...place, run: name } : place
    },
    address: once(() => addressOf(settings)),
    engine: async () => {
      opened ??= import('../client/connection.js').then(async ({ connectEngine }) =>
        connectEngine(await context.address()),
      )
      return opened
    },
    close: async () => (await opened?.catch(() => undefined))?.close(),
  }
  return context
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** A missing file is an error only where it was named: commands work beside no file, against a worker elsewhere. */
async function sourceOf({ config }: Settings, isAskedFor: boolean): Promise<ConfigurationSource | undefined> {
  try {
    return await readConfigurationFile(config)
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    if (isMissing && !isAskedFor) return undefined
    throw error
  }
}

function projectOf(source: ConfigurationSource | undefined): string {
  if (source) return projectName(source)
  throw failure('UsageInvalid', 'which project? there is no headgate.yaml here: give --project or set HEADGATE_PROJECT')
}

function placeIn(environment: string, project: string, source: ConfigurationSource | undefined): Place {
  if (!Name.safeParse(environment).success) {
    const shown = JSON.stringify(environment.slice(0, 60))
    throw failure('UsageInvalid', `${shown} names no environment or run: like production, production-20261120-103015`)
  }
  if (source === undefined || projectName(source) !== project) return { project, environment }
  const { queue } = describeEnvironment(source, environment)
  if (typeof queue !== 'string') return { project, environment }
  if (queue.includes('${')) throw failure('ConfigurationInvalid', `${source.file}: queue must be written out`)
  return { project, environment, queue }
}

async function addressOf({ home }: Settings): Promise<string | undefined> {
  const { isTemporalConfigured } = await import('../client/connection.js')
  return isTemporalConfigured() ? undefined : (await readDevRecord(home))?.address
}
