// What a run adds around its tools for a migration that does nothing, beside the bare tool. Ratios of medians, measured side
// by side on this machine; nothing is asserted.
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, findPythonTools } from '../dist/adapters/process/provision.js'
import { HEADGATE, median, onGround, print, quiet, run, sql, timed } from './bench-ground.mjs'

const ROUNDS = Number(process.env.HEADGATE_BENCH_ROUNDS ?? 5)

await onGround(async ({ folder, postgres, env, configure, startWorker, start }) => {
  const alembic = await join(await findPythonTools(cacheFolder(), quiet), 'alembic')
  await alembicProject(folder)
  await configure({ migrator: { kind: 'alembic', config: 'project/alembic.ini', command: [alembic] } })
  const worker = await startWorker()
  const reset = () => sql(postgres.url('bench'), 'drop table if exists alembic_version')

  const bare = []
  const runs = []
  const steps = new Map()
  for (let round = 1; round <= ROUNDS; round++) {
    await reset()
    bare.push(
      await timed(() =>
        run(alembic, ['upgrade', 'head'], { ...env, DATABASE_URL: postgres.url('bench') }, join(folder, 'project')),
      ),
    )
    await reset()
    let handle
    runs.push(
      await timed(async () => {
        handle = await start('migrate')
        await handle.result()
      }),
    )
    const { lines } = await handle.query('state')
    for (const { step, startedAt, endedAt } of lines) steps.set(step, [...(steps.get(step) ?? []), endedAt - startedAt])
  }
  const help = []
  for (let round = 0; round < ROUNDS; round++)
    help.push(await timed(() => run(process.execPath, [HEADGATE, '--help'], env, folder)))

  print('bare `alembic upgrade head`', bare)
  print('the whole run, the same revision', runs)
  console.log(
    `\nadded by the run: ${Math.round(median(runs) - median(bare))} ms, ${(median(runs) / median(bare)).toFixed(1)} times the bare tool\n`,
  )
  for (const [step, times] of steps) print(`  ${step}`, times)
  console.log()
  print('headgate --help', help)
  print('worker ready', [worker.readyAfterMs])
  console.log(`worker resident memory ${residentMegabytes(worker.pid)} MB`)
})

/** A revision that changes nothing. */
async function alembicProject(folder) {
  const project = join(folder, 'project')
  await mkdir(join(project, 'versions'), { recursive: true })
  await writeFile(join(project, 'alembic.ini'), '[alembic]\nscript_location = %(here)s\n')
  await writeFile(
    join(project, 'env.py'),
    `import os
from alembic import context
from sqlalchemy import create_engine, pool
url = "postgresql+psycopg2://" + os.environ.get("DATABASE_URL", "postgresql://").split("://", 1)[1]
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
`,
  )
  await writeFile(
    join(project, 'versions', '0001_nothing.py'),
    '"""nothing"""\nrevision = "0001"\ndown_revision = None\ndef upgrade():\n    pass\ndef downgrade():\n    pass\n',
  )
}

function residentMegabytes(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)
}
