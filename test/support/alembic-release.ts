import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../../src/adapters/process/provision.js'

/** The real one, where `npm test` installs it. */
export const ALEMBIC = join(cacheFolder(), 'alembic-1', 'bin', 'alembic')

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

export interface Revision {
  revision: string
  /** The one before; undefined for the first. */
  after?: string
  sql: string[]
  down?: string[]
  phase?: 'expand' | 'contract'
}

/** Writes a release as a team that uses Alembic has it: alembic.ini, env.py, one script for each revision. */
export async function writeAlembic(folder: string, revisions: readonly Revision[]): Promise<void> {
  const versions = join(folder, 'alembic', 'versions')
  await mkdir(versions, { recursive: true })
  await writeFile(join(folder, 'alembic.ini'), '[alembic]\nscript_location = %(here)s/alembic\n')
  await writeFile(join(folder, 'alembic', 'env.py'), ENV_PY)
  for (const one of revisions) await writeFile(join(versions, `${one.revision}.py`), script(one))
}

const body = (sql: readonly string[]): string =>
  ['pass', ...sql.map((one) => `op.execute(${JSON.stringify(one)})`)].map((line) => `    ${line}`).join('\n')

const script = ({ revision, after, sql, down = [], phase }: Revision): string => `"""${revision}

headgate:phase=${phase ?? 'expand'}
"""
from alembic import op
revision = '${revision}'
down_revision = ${after === undefined ? 'None' : `'${after}'`}
def upgrade():
${body(sql)}
def downgrade():
${body(down)}
`
