import { dirname } from 'node:path'
import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import type { Fence } from '../../domain/fence.js'
import type { Target } from '../postgres/target.js'
import type { MigratorContext } from './context.js'
import { hostOf } from '../process/host-of.js'
import type { ToolRun } from './port.js'
import { filled, toolSession, withTargetOf } from './tool-environment.js'
import { toolRun } from './tool-failure.js'

/** Makes the release's whole schema at once, in an empty database. Throws `MigrationFailed`, `ToolMissing`. */
export type CreateAll = (tag: string, target: Target, fence: Fence) => Promise<ToolRun>

/** Nobody else is in the database. */
const LIMITS = { lockTimeoutMs: 0, statementTimeoutMs: 0 }

/** Where the tool itself runs on this machine, where it has a folder of its own. */
function folderOf(configuration: MigratorConfiguration): string | undefined {
  if (configuration.kind === 'alembic') return configuration.dir ?? dirname(configuration.config)
  return configuration.kind === 'command' ? configuration.dir : undefined
}

/** The team's own create-all command, which runs where its migrator does; undefined where there is none. `directory`: of headgate.yaml. */
export function createAllOf(
  configuration: MigratorConfiguration,
  directory: string,
  { logDirectory, secrets: known, sources }: Omit<MigratorContext, 'target'>,
): CreateAll | undefined {
  const { init } = configuration
  if (!init) return undefined
  const host = hostOf(configuration, sources)
  const withTarget = withTargetOf(configuration, host)
  const urlVariable = 'urlVariable' in configuration ? configuration.urlVariable : 'DATABASE_URL'
  const name = 'init'
  return async (tag, target, fence) => {
    const secrets = [...known, ...(target.password ? [target.password] : [])]
    const place = host.isHere ? { cwd: (folderOf(configuration) ?? directory).replaceAll('{tag}', tag) } : {}
    const request = { name, command: filled(init, { tag }), ...place, secrets, logDirectory }
    return withTarget(target, toolSession(fence.applicationName, LIMITS), urlVariable, async (env) =>
      toolRun(name, await host.runFenced(tag, { ...request, env }, fence)),
    )
  }
}
