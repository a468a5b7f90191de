import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import { goOn, HELD, untilHeld } from '../support/held-migration.js'
import { serverTarget, withControl } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** Half of it commits, then it waits for `goOn`, then it fails. */
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    update orders set item = 'half';
    ${HELD};
    create unique index concurrently on orders (item)`,
}

async function migrating(options: Partial<WorldOptions> = {}): Promise<void> {
  world = await World.create({ migrations: HALF, writesLate: true, ...options })
  await world.startWorker()
  await world.start()
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await untilHeld(world.database.name)
}

const theirs = (): Promise<unknown> =>
  world.rows(`insert into orders (key, item, written_by) values ('theirs', 'cake', 'somebody') returning key`)

test('whoever looks while the gate is closed does not cost the run its way back', async () => {
  await migrating()
  const plan = world.typed('plan', 'staging', '--tag', '2')
  expect((await world.typed('info', 'staging', '--tag', '2')).exit).toBe(0)
  expect((await world.typed('doctor', 'staging')).exit).toBe(0)
  // The migration under way is in the ledger as begun.
  expect((await plan).text).toContain('0002_half as half done')
  await goOn(world.database.name)
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(await world.rows(`select item from orders where item = 'half'`)).toEqual([])
})

test('where somebody came through the gate nothing is restored, and who decides is told that others may have written', async () => {
  await migrating()
  await theirs()
  await goOn(world.database.name)
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  expect(ending.reason).toContain('of others came through the closed gate')
  const evidence = await world.typed('recover', 'staging')
  expect(evidence.text).toContain('open since the backup: others may have written')
  expect(evidence.text).toContain('writes since the backup leave the live database')
  const before = await world.snapshot()
  expect(await world.ending(await world.start('recover', { recover: { choice: 'accept' } }))).toMatchObject({ exit: 0 })
  expect(await world.rows(`select key from orders where key = 'theirs'`)).toHaveLength(1)
  expect(differences(before, await world.snapshot()).filter((line) => !/consumer|service/.test(line))).toEqual([])
})

test('where the last look before the swap finds somebody, what was brought beside is gone again', async () => {
  await migrating({ configuration: { backup: { kind: 'dump' } } })
  await goOn(world.database.name)
  await withControl(async (control) => {
    const beside = 'select 1 from pg_database where starts_with(datname, $1)'
    while ((await control.query(beside, [`${world.database.name}__r_`])).rowCount === 0);
  })
  // As if one of the sessions that were counted had been somebody else's.
  await world.journal('delete from {s}.gate_sessions returning backend_pid')
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'needs-operator' })
  expect(ending.reason).toContain('a restore is forbidden')
  expect((await world.siblings()).filter((name) => name.includes('__r_'))).toEqual([])
})

test('a database that writes its dates day first is put back as any other', async () => {
  await migrating({
    schema: `do $$ begin execute format('alter database %I set datestyle to "SQL, DMY"', current_database()); end $$`,
  })
  await goOn(world.database.name)
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
})

test('checks on another database than the one that is migrated are refused when the run is planned', async () => {
  world = await World.create({ migrations: HALF, environment: { urls: { verify: targetUrl(serverTarget()) } } })
  await world.startWorker()
  const answer = await world.typed('deploy', 'staging', '--tag', '2')
  expect(answer.exit).toBe(4)
  expect(answer.text).toContain('urls.verify and url are not the same database')
})
