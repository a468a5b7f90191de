import type { MigratorConfiguration } from '../../domain/configuration.js'
import { alembicMigrator } from './alembic.js'
import { commandMigrator } from './command.js'
import type { MigratorContext } from './context.js'
import type { Migrator } from './port.js'
import { sqlxMigrator } from './sqlx.js'
import { umzugMigrator } from './umzug.js'

type Factories = {
  [Kind in MigratorConfiguration['kind']]: (
    configuration: Extract<MigratorConfiguration, { kind: Kind }>,
    context: MigratorContext,
  ) => Migrator
}

/** Add a kind: one file, one line here, one member of the configuration. The compiler asks for the rest. */
const migrators: Factories = {
  umzug: umzugMigrator,
  alembic: alembicMigrator,
  sqlx: sqlxMigrator,
  command: commandMigrator,
}

/** The migrator an environment names; the paths in its configuration are absolute. */
export function createMigrator(configuration: MigratorConfiguration, context: MigratorContext): Migrator {
  const { kind } = configuration
  if (kind === 'umzug') return migrators[kind](configuration, context)
  if (kind === 'alembic') return migrators[kind](configuration, context)
  if (kind === 'sqlx') return migrators[kind](configuration, context)
  return migrators[kind](configuration, context)
}
