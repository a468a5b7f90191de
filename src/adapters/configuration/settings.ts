import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { failure } from '../../domain/failures.js'
import { Name } from '../../domain/names.js'

/** Where things are for this process, as opposed to what to do, which stands in `headgate.yaml`. */
export interface Settings {
  /** The project, where no `headgate.yaml` tells it. */
  readonly project: string | undefined
  /** The configuration's path. */
  readonly config: string
  /** Who asks, as a claim. */
  readonly user: string | undefined
  /** The private or public key approvals are signed with; without it the agent's. */
  readonly sshKey: string | undefined
  /** State that must survive: the embedded Temporal's file, logs. Absolute. */
  readonly home: string
  /** What may be deleted at any time: downloaded programs. Absolute. */
  readonly cache: string
}

/** What the command line says; it wins over the environment. */
export interface SettingOverrides {
  project?: string | undefined
  config?: string | undefined
  key?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the settings; touches no file. An empty variable counts as unset. Throws `UsageInvalid` for a project that is no name. */
export function readSettings(env: Environment, overrides: SettingOverrides = {}): Settings {
  const set = (name: string): string | undefined => env[name] || undefined
  const project = overrides.project ?? set('HEADGATE_PROJECT')
  if (project !== undefined && !Name.safeParse(project).success) {
    const where = overrides.project === undefined ? 'HEADGATE_PROJECT' : '--project'
    throw failure('UsageInvalid', `${where}: a name is 1 to 20 of a-z, 0-9 and -, and starts with a letter`)
  }
  return Object.freeze({
    project,
    config: overrides.config ?? set('HEADGATE_CONFIG') ?? './headgate.yaml',
    user: set('HEADGATE_USER'),
    sshKey: overrides.key ?? set('HEADGATE_SSH_KEY'),
    home: resolve(set('HEADGATE_HOME') ?? folderOf(env, 'XDG_STATE_HOME', '.local/state')),
    cache: resolve(set('HEADGATE_CACHE') ?? folderOf(env, 'XDG_CACHE_HOME', '.cache')),
  })
}

/** By the XDG base directory specification a relative path there is ignored. */
function folderOf(env: Environment, variable: string, fallback: string): string {
  const base = env[variable]
  return join(base && isAbsolute(base) ? base : join(env.HOME || homedir(), fallback), 'headgate')
}
