import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FixtureMigration } from '../adapters/migrator/contract.js'

/** What `alembic init` writes, with the URL from the environment; newer SQLAlchemy would take psycopg 3. */
const ENV_PY = `
import os
from alembic import context
from sqlalchemy import engine_from_config, pool
config = context.config
config.set_main_option('sqlalchemy.url', os.environ['DATABASE_URL'].replace('postgresql:', 'postgresql+psycopg2:').replace('%', '%%'))
if context.is_offline_mode():
    context.configure(url=config.get_main_option('sqlalchemy.url'), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = engine_from_config(config.get_section(config.config_ini_section), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
`
/** As its template `async`: asyncpg reads neither PGAPPNAME nor PGOPTIONS. */
export const ASYNCPG_ENV_PY = ENV_PY.replace('postgresql+psycopg2:', 'postgresql+asyncpg:')
  .replace('import os\n', 'import asyncio, os\nfrom sqlalchemy.ext.asyncio import async_engine_from_config\n')
  .replace(
    /else:[\s\S]*$/,
    `else:
    def run(connection):
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
    async def main():
        engine = async_engine_from_config(config.get_section(config.config_ini_section), poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(run)
        await engine.dispose()
    asyncio.run(main())
`,
  )
const LOGGING = `
[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(levelname)s %(message)s
`

const execute = (sql: string): string => `op.execute(${JSON.stringify(sql)})`

/** One revision's script. */
export function script(
  { version, up, down, transactional, phase }: FixtureMigration,
  previous: string | undefined,
): string {
  const body =
    transactional === false
      ? ['with op.get_context().autocommit_block():', ...up.map((sql) => `    ${execute(sql)}`)]
      : up.map(execute)
  return [
    `"""${version}`,
    '',
    phase ? `headgate:phase=${phase}` : 'no directive',
    '"""',
    'from alembic import op',
    `revision = '${version}'`,
    `down_revision = ${previous === undefined ? 'None' : `'${previous}'`}`,
    'def upgrade():',
    ...body.map((line) => `    ${line}`),
    'def downgrade():',
    `    ${down ? execute(down) : 'pass'}`,
  ].join('\n')
}

/** Writes what `alembic init` and `alembic revision` would, with exactly these revisions. */
export function writeAlembicProject(folder: string, migrations: readonly FixtureMigration[], envPy = ENV_PY): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'alembic', 'versions'), { recursive: true })
  writeFileSync(join(folder, 'alembic.ini'), `[alembic]\nscript_location = %(here)s/alembic\n${LOGGING}`)
  writeFileSync(
    join(folder, 'alembic', 'env.py'),
    `from logging.config import fileConfig\n${envPy.replace('config = context.config', 'config = context.config\nfileConfig(config.config_file_name)')}`,
  )
  for (const [index, migration] of migrations.entries())
    writeFileSync(
      join(folder, 'alembic', 'versions', `${migration.version}.py`),
      script(migration, migrations[index - 1]?.version),
    )
}
