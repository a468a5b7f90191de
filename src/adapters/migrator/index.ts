import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { alembicMigrator } from './alembic.js'
import { commandMigrator } from './command.js'
import type { HostedContext, MigratorContext } from './context.js'
import { hostOf } from '../process/host-of.js'
import type { Migrator } from './port.js'
import { sqlxMigrator } from './sqlx.js'
import { withTargetOf } from './tool-environment.js'
import { umzugMigrator } from './umzug.js'

type Factories = {
  [Kind in MigratorConfiguration['kind']]: (
    configuration: Extract<MigratorConfiguration, { kind: Kind }>,
    context: HostedContext,
  ) => Migrator
}

/** Add a kind: one file, one line here, one member of the configuration. The compiler asks for the rest. */
const migrators: Factories = {
  umzug: umzugMigrator,
  alembic: alembicMigrator,
  sqlx: sqlxMigrator,
  command: commandMigrator,
}

/** The migrator an environment names; the paths in its configuration are absolute, or paths in its image. */
export function createMigrator(configuration: MigratorConfiguration, given: MigratorContext): Migrator {
  const host = hostOf(configuration, given.sources)
  const migrator = created(configuration, { ...given, host, withTarget: withTargetOf(configuration, host) })
  return host.isHere ? migrator : { ...migrator, image: (tag, which) => host.image(tag, which) }
}

function created(configuration: MigratorConfiguration, context: HostedContext): Migrator {
  const { kind } = configuration
  if (kind === 'umzug') return migrators[kind](configuration, context)
  if (kind === 'alembic') return migrators[kind](configuration, context)
  if (kind === 'sqlx') return migrators[kind](configuration, context)
  return migrators[kind](configuration, context)
}
