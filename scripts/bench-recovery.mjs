// How soon a run goes on, or is seen, after a crash in the middle of its migration, beside a run that nothing happens to.
// Measured on this machine; nothing is asserted.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { median, onGround, print, sql, timed } from './bench-ground.mjs'

const ROUNDS = Number(process.env.HEADGATE_BENCH_ROUNDS ?? 3)
const HEARTBEAT_MS = 2_000
const SLEEP_S = 4

await onGround(async ({ folder, postgres, temporal, client, configure, startWorker, start }) => {
  await mkdir(join(folder, 'migrations'))
  await writeFile(
    join(folder, 'migrations', '0001_slow.sql'),
    `create table slow (id int); select pg_sleep(${SLEEP_S})`,
  )
  await configure({ heartbeat: `${HEARTBEAT_MS}ms`, migrator: { kind: 'umzug' } })
  const at = postgres.url('bench')
  const journal = postgres.url('headgate')
  const reset = () => sql(at, 'drop schema public cascade; create schema public')
  let worker = await startWorker()

  /** A run whose migration is at work. */
  const migrating = async () => {
    await reset()
    const handle = await start('migrate')
    await until(async () => (await sleepers()).length > 0)
    return handle
  }
  const sleepers = async () =>
    (
      await sql(
        at,
        `select pid from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`,
      )
    ).map(({ pid }) => pid)
  const attempts = async () =>
    (await sql(journal, `select count(*)::int as count from headgate.steps where step = 'migrate'`))[0].count

  const plain = []
  const orphans = []
  const goesOn = []
  const killed = []
  const seen = []
  const restarted = []
  for (let round = 0; round < ROUNDS; round++) {
    plain.push(
      await timed(async () => {
        const handle = await migrating()
        await handle.result()
      }),
    )

    let handle
    killed.push(
      await timed(async () => {
        handle = await migrating()
        const [before, pids] = [await attempts(), await sleepers()]
        await worker.kill()
        const died = performance.now()
        const gone = until(async () => !(await sleepers()).some((pid) => pids.includes(pid))).then(() =>
          orphans.push(performance.now() - died),
        )
        worker = await startWorker()
        await until(async () => (await attempts()) > before)
        goesOn.push(performance.now() - died)
        await gone
        await handle.result()
      }),
    )

    restarted.push(
      await timed(async () => {
        handle = await migrating()
        await temporal.kill()
        await temporal.restart()
        await until(() =>
          handle.result().then(
            () => true,
            () => false,
          ),
        )
      }),
    )

    handle = await migrating()
    const recovery = client.workflow.getHandle('headgate/bench/staging/recover')
    const idOf = () =>
      recovery.describe().then(
        ({ runId }) => runId,
        () => undefined,
      )
    const before = await idOf()
    await handle.terminate('bench')
    seen.push(await timed(() => until(async () => (await idOf()) !== before)))
    await recovery.result()
  }

  console.log(`heartbeat ${HEARTBEAT_MS} ms; the migration sleeps ${SLEEP_S} s\n`)
  print('a run that nothing happens to', plain)
  print('the worker killed with -9: sessions of it gone', orphans)
  print('the worker killed with -9: the next attempt at work', goesOn)
  print('the worker killed with -9: the whole run', killed)
  print('Temporal killed with -9 and restarted: the whole run', restarted)
  print('terminated: a recovery has begun', seen)
  console.log(
    `\nbeside the undisturbed run: worker killed ${ratio(killed, plain)}, Temporal restarted ${ratio(restarted, plain)}`,
  )
})

function ratio(times, of) {
  return `${(median(times) / median(of)).toFixed(1)} times`
}

async function until(what) {
  while (!(await what())) await pause(20)
}
