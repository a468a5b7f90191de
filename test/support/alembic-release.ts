import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../../src/adapters/process/provision.js'

/** The real one, where `npm test` installs it. */
export const ALEMBIC = join(cacheFolder(), 'python-tools-1', 'bin', 'alembic')
export const SQUAWK = join(cacheFolder(), 'python-tools-1', 'bin', 'squawk')

const ENV_PY = `
import os
from alembic import context
from sqlalchemy import create_engine, pool
url = os.environ['DATABASE_URL'].replace('postgresql:', 'postgresql+psycopg2:')
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
`

/** The same with the offline mode that Alembic's own templates have: the SQL of each revision can be had. */
export const OFFLINE_ENV_PY = `${ENV_PY.replace(
  'with create_engine',
  'if not context.is_offline_mode():\n  with create_engine',
)
  .replace('    context.configure(connection', '      context.configure(connection')
  .replace('    with context.begin', '      with context.begin')
  .replace('        context.run', '          context.run')}else:
  context.configure(url=url, literal_binds=True)
  with context.begin_transaction():
      context.run_migrations()
`

export interface Revision {
  revision: string
  /** The one before; undefined for the first. */
  after?: string
  sql: string[]
  down?: string[]
  phase?: 'expand' | 'contract'
  /** Outside of the transaction. */
  isOutside?: boolean
}

/** A merge of these heads, as `alembic merge` writes it. */
export const mergeScript = (revision: string, heads: readonly string[]): string => `"""merge

Revision ID: ${revision}
Revises: ${heads.join(', ')}
"""
from typing import Sequence, Union
from alembic import op
import sqlalchemy as sa
revision: str = '${revision}'
down_revision: Union[str, Sequence[str], None] = (${heads.map((head) => `'${head}'`).join(', ')})
def upgrade() -> None:
    """Upgrade schema."""
    pass
def downgrade() -> None:
    """Downgrade schema."""
    pass
`

/** The ledger of a database that has revision a1. */
export const ALEMBIC_LEDGER = `create table alembic_version (version_num varchar(32) not null constraint alembic_version_pkc primary key);
  insert into alembic_version values ('a1')`
export const FIRST: Revision = { revision: 'a1', sql: [] }
export const NOTE: Revision = { revision: 'b2', after: 'a1', sql: ['alter table orders add column note text'] }
export const DROP: Revision = {
  ...{ revision: 'c3', after: 'b2', phase: 'contract' },
  sql: ['alter table orders alter column item drop not null'],
}

/** As the template `async` of Alembic has it: the driver reads no variable of libpq's but those that say where to. */
export const ASYNC_ENV_PY = `
import asyncio, os
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy import pool
url = os.environ['DATABASE_URL'].replace('postgresql:', 'postgresql+asyncpg:')
def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
async def main():
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()
if not context.is_offline_mode():
    asyncio.run(main())
`
/** The same, as docs/migrators.md says: everything that libpq would have read is handed on. */
export const HANDING_ENV_PY = ASYNC_ENV_PY.replace(
  'def run(connection)',
  `def libpq_settings():
    pairs = os.environ.get('PGOPTIONS', '').replace('-c ', '').split()
    return {'application_name': os.environ.get('PGAPPNAME', ''), **dict(pair.split('=', 1) for pair in pairs)}
def run(connection)`,
).replace('NullPool)', "NullPool, connect_args={'server_settings': libpq_settings()})")

/** Writes a release as a team that uses Alembic has it: alembic.ini, env.py, one script for each revision. */
export async function writeAlembic(folder: string, revisions: readonly Revision[], envPy = ENV_PY): Promise<void> {
  const versions = join(folder, 'alembic', 'versions')
  await mkdir(versions, { recursive: true })
  await writeFile(join(folder, 'alembic.ini'), '[alembic]\nscript_location = %(here)s/alembic\n')
  await writeFile(join(folder, 'alembic', 'env.py'), envPy)
  for (const one of revisions) await writeFile(join(versions, `${one.revision}.py`), script(one))
}

const body = (sql: readonly string[], isOutside = false): string =>
  [
    ...(isOutside ? ['with op.get_context().autocommit_block():'] : []),
    ...['pass', ...sql.map((one) => `op.execute(${JSON.stringify(one)})`)].map((one) =>
      isOutside ? `    ${one}` : one,
    ),
  ]
    .map((line) => `    ${line}`)
    .join('\n')

const script = ({ revision, after, sql, down = [], phase, isOutside }: Revision): string => `"""${revision}

headgate:phase=${phase ?? 'expand'}
"""
from alembic import op
revision = '${revision}'
down_revision = ${after === undefined ? 'None' : `'${after}'`}
def upgrade():
${body(sql, isOutside)}
def downgrade():
${body(down)}
`
