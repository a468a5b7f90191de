import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { RunState } from '../../src/domain/run.js'
import type { headgate } from '../support/command-line.js'
import { World, type WorldOptions } from '../support/world.js'

/** Nothing of two pieces can be taken back by itself: the index is never built. */
const HALF = `-- headgate:no-transaction
  alter table orders add column half boolean;
  create unique index concurrently orders_by_item on orders (item)`
const MENDED = `-- headgate:no-transaction
  alter table orders add column if not exists half boolean;
  drop index concurrently if exists orders_by_item;
  create index concurrently orders_by_item on orders (item)`
const PRICE = { '0003_price.sql': 'alter table orders add column price integer' }
const HALF_CONTRACT = `-- headgate:no-transaction
  alter table orders alter column item drop not null;
  select 1 / 0`
const MENDED_CONTRACT = 'alter table orders alter column item drop not null'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** With the gate open nothing that is half done can be put back: a person is needed. */
const OPEN = { configuration: { quiesce: 'none' } }

async function company(options: WorldOptions): Promise<void> {
  world = await World.create(options)
  await world.startWorker()
  await world.start()
}

async function untilStopped(): Promise<string> {
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  return ending.run
}

const fix = (...words: string[]): ReturnType<typeof headgate> =>
  world.typed('recover', 'staging', '--fix', '--by', 'cleo', ...words)

/** Half of a contract migration is done, after somebody approved it. */
async function contractStopped(): Promise<string> {
  await company({ migrations: { '0002_item.contract.sql': HALF_CONTRACT } })
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  return untilStopped()
}

/** A fix of that, in release 3, which waits for somebody to approve it. */
async function fixWaits(sql = MENDED_CONTRACT): Promise<string> {
  const run = await contractStopped()
  await world.release('3', { '0002_item.contract.sql': sql })
  expect((await fix('--tag', '3')).exit).toBe(3)
  return run
}

describe('a run that needs an operator goes on with a release that mends it', () => {
  test('what was half done is done, the mended release goes out, and everybody is let in', async () => {
    await company({ migrations: { '0002_half.sql': HALF }, ...OPEN })
    const run = await untilStopped()
    expect(world.consumer.state).toBe('paused')
    await world.release('3', { '0002_half.sql': MENDED, ...PRICE })
    const refused = await world.typed('plan', 'staging', '--tag', '3')
    expect(refused.text).toContain(`headgate plan ${run} --fix --tag TAG`)
    const shown = await world.typed('plan', run, '--fix', '--tag', '3')
    expect(shown.exit, shown.text).toBe(0)
    expect(shown.text).toContain('0002_half (half done: begins at its first statement, not in a transaction)')
    expect(shown.text).toContain(`headgate recover ${run} --fix --tag 3`)
    expect(await done()).toEqual(['0001_orders'])
    const answer = await fix('--tag', '3')
    expect(answer.exit, answer.text).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_half', '0003_price'])
    expect(await world.serving()).toBe('3')
    expect(world.consumer.state).toBe('running')
    const report = await world.typed('report', run)
    expect(report.text).toContain('succeeded')
    expect(report.text).toContain('cleo goes on with release 3')
    expect(report.text).toContain('tag 2, mended with 3')
    expect(report.text).toContain(`headgate recover ${run} --fix --tag 3`)
    const over = await world.typed('recover', run)
    expect(over.exit, over.text).toBe(1)
    expect(over.text).toContain(`run ${run} has ended already: succeeded`)
    await world.quiet()
    expect(await world.lost()).toEqual([])
    expect((await world.typed('deploy', 'staging', '--tag', '3')).text).toContain('nothing to do')
  })

  test('with the same tag its files are read again; one that fails too leaves the run open for the next', async () => {
    await company({ migrations: { '0002_half.sql': HALF }, ...OPEN })
    const run = await untilStopped()
    const same = await fix()
    expect(same.exit, same.text).toBe(6)
    expect(same.text).toContain('0002_half is the very file that ended half done')
    expect(same.text).toContain('choose --finish')
    await world.release('2', { '0002_half.sql': `${HALF} -- once more` })
    const failed = await fix()
    expect(failed.exit, failed.text).toBe(6)
    expect(failed.text).toContain('column "half" of relation "orders" already exists')
    expect(world.consumer.state).toBe('paused')
    // It failed at its first statement, and what was half done before it still is.
    expect((await world.typed('recover', run)).text).toContain('0002_half is half done')
    await world.release('2', { '0002_half.sql': MENDED })
    const answer = await fix()
    expect(answer.exit, answer.text).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_half'])
    expect(await world.serving()).toBe('2')
    expect(world.consumer.state).toBe('running')
    expect((await world.typed('status', run)).text).toContain('succeeded')
  })

  test('one that cannot go out is refused, and everything stays as it was', async () => {
    await company({ migrations: { ...PRICE, '0004_half.sql': HALF }, ...OPEN })
    const run = await untilStopped()
    const before = await world.typed('recover', run)
    const typo = await fix('--tag', '33')
    expect(typo.exit, typo.text).not.toBe(0)
    expect(typo.text).toContain('33')
    expect(typo.text).toMatch(/database +as the open run left it: nothing was begun/)
    expect(typo.text).toContain(`next       headgate recover ${run}`)
    expect((await world.typed('recover', run)).text, 'nothing of it is left').toBe(before.text)
    await world.release('3', { '0003_price.sql': 'select 3', '0004_half.sql': MENDED })
    const answer = await fix('--tag', '3')
    expect(answer.exit, answer.text).toBe(6)
    expect(answer.text).toContain('0003_price was edited after it was applied')
    expect(await recovery(), 'no plan of release 3').toMatchObject({ tag: '3', digest: '' })
    expect((await world.typed('recover', run)).text, 'why it had stopped').toMatch(/ before .*0004_half/)
    expect(await done()).toEqual(['0001_orders', '0003_price'])
    expect(world.consumer.state).toBe('paused')
    expect(await world.serving()).toBe('1')
    const rest = await world.typed('recover', run, '--accept')
    expect(rest.exit, rest.text).toBe(0)
    expect(world.consumer.state).toBe('running')
  })

  test('where the worker dies in the middle of it, the next one goes on with it', async () => {
    await company({ migrations: { '0002_half.sql': HALF }, ...OPEN })
    const run = await untilStopped()
    // Once only: the attempt after the one that died goes on after what that one had done.
    await world.release('3', {
      '0002_half.sql': `${MENDED};\n  insert into stock (what) values ('mended');\n  select pg_sleep(3)`,
    })
    await world.start('recover', { tag: '3', recover: { run, choice: 'fix' } })
    while ((await recovery().catch(() => undefined))?.step !== 'migrate') await pause(50)
    await pause(500)
    world.workers[0]?.kill('SIGKILL')
    await world.startWorker()
    const watched = await world.typed('watch', 'staging')
    expect(watched.exit, watched.text).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_half'])
    expect(await world.rows("select from stock where what = 'mended'")).toHaveLength(1)
    expect(await world.serving()).toBe('3')
    expect(world.consumer.state).toBe('running')
  })

  test('a release that would leave what is half done as it is is refused', async () => {
    await company({ migrations: { '0002_half.sql': HALF }, ...OPEN })
    await untilStopped()
    await world.release('3', PRICE)
    const answer = await fix('--tag', '3')
    expect(answer.exit, answer.text).toBe(6)
    expect(answer.text).toContain('marks 0002_half as half done, and this stage would not finish it')
    expect(world.consumer.state).toBe('paused')
  })

  test('where all of it is applied and only the image was bad, the next image goes out', async () => {
    await company({ migrations: { '0002_half.sql': HALF }, ...OPEN })
    await untilStopped()
    await world.script('deploy', 'test "$1" != 3 && echo "$1" > current; test "$1" != 3 && touch running')
    await world.release('3', { '0002_half.sql': MENDED })
    const bad = await fix('--tag', '3')
    expect(bad.exit, bad.text).toBe(6)
    expect(world.consumer.state).toBe('paused')
    await world.release('4', { '0002_half.sql': MENDED })
    const answer = await fix('--tag', '4')
    expect(answer.exit, answer.text).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_half'])
    expect(await world.serving()).toBe('4')
    expect(world.consumer.state).toBe('running')
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('of a contract stage it is approved anew, and by nobody who asked', async () => {
    const run = await contractStopped()
    await world.release('3', { '0002_item.contract.sql': MENDED_CONTRACT })
    const asked = await fix('--tag', '3')
    expect(asked.exit, asked.text).toBe(3)
    expect(asked.text).toContain(`headgate approve ${run}`)
    const asking = await recovery()
    expect(asking.lines.at(-1)?.text).toContain('not by ana or cleo, who asked')
    expect(await done()).toEqual(['0001_orders'])
    expect((await world.typed('status', 'staging')).text).toContain('what the run has paused and stopped stays so')
    const again = await world.typed('recover', 'staging')
    expect(again.exit).not.toBe(0)
    expect(again.text).toContain(`a fix of ${run} by release 3 waits for an approval`)
    // Its own plan, with the database shut: what is approved, not what the files say by then.
    await world.release('3', { '0002_item.contract.sql': 'drop table orders' })
    const shown = await world.typed('plan', run)
    await world.release('3', { '0002_item.contract.sql': MENDED_CONTRACT })
    expect(shown.exit, shown.text).toBe(0)
    expect(shown.text).toContain(`plan of ${run}, tag 3`)
    expect(shown.text).toContain(MENDED_CONTRACT)
    expect((await world.typed('plan', run, '--tag', '3')).exit).toBe(1)
    for (const by of ['ana', 'cleo']) {
      const refused = await world.typed('approve', run, '--yes', '--by', by)
      expect(refused.text).toContain(`${by} asked for this run and may not approve it`)
    }
    const approved = await world.typed('approve', run, '--yes', '--by', 'ben')
    expect(approved.exit, approved.text).toBe(0)
    expect((await recovery()).digest, 'the plan that was approved').toBe(asking.digest)
    const watched = await world.typed('watch', 'staging')
    expect(watched.exit, watched.text).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_item'])
    expect(await world.serving()).toBe('3')
    expect(world.consumer.state).toBe('running')
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('a file that changes while it waits makes the approval void', async () => {
    const run = await fixWaits(`${HALF_CONTRACT} -- once more`)
    const before = await recovery()
    await writeFile(join(world.folder, 'releases', '3', '0002_item.contract.sql'), MENDED_CONTRACT)
    await world.typed('approve', run, '--yes', '--by', 'ben')
    let now = before
    while (now.digest === before.digest || now.state !== 'waiting') {
      await pause(50)
      now = await recovery()
    }
    await world.typed('approve', run, '--yes', '--by', 'ben')
    expect((await world.typed('watch', run)).exit).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders', '0002_item'])
    const report = await world.typed('report', run)
    expect(report.text).toContain('the fix is not what was approved any more, and waits for an approval anew')
    expect(report.text).toContain(before.digest.slice(0, 12))
  })

  test('where its workflow is terminated while it waits, the run is found again, and can be mended again', async () => {
    const run = await fixWaits()
    const waiting = await recovery()
    await terminate()
    while ((await recovery()).state === 'waiting') await pause(100)
    await world.temporal.workflow
      .getHandle(`headgate/${world.project}/staging/recover`)
      .result()
      .catch(() => {})
    expect(world.consumer.state).toBe('paused')
    expect((await fix('--tag', '3')).exit).toBe(3)
    // What was decided about the first one does not count for this one.
    expect((await recovery()).digest).not.toBe(waiting.digest)
    await world.typed('approve', run, '--yes', '--by', 'ben')
    expect((await world.typed('watch', run)).exit).toBe(0)
    expect(await world.serving()).toBe('3')
  })

  test('rejected, it leaves the run as it was: its other ways out are still there', async () => {
    const run = await fixWaits()
    expect((await world.typed('reject', run, '--by', 'ben', '--reason', 'not tonight')).exit).toBe(0)
    expect((await world.typed('watch', run)).exit).toBe(6)
    expect(world.consumer.state).toBe('paused')
    const evidence = await world.typed('recover', run)
    expect(evidence.text).toContain('deploy of tag 2')
    expect((await world.typed('recover', run, '--tag', '3')).text).toContain(
      '--tag is of the release that mends the run',
    )
    const unsure = await world.typed('recover', run, '--restore')
    expect(unsure.exit).toBe(1)
    expect(unsure.text).toContain('a restore replaces the live database: add --yes')
    expect((await world.typed('recover', run, '--restore', '--yes')).exit).toBe(0)
    expect(await world.versions()).toEqual(['0001_orders'])
    expect(world.consumer.state).toBe('running')
    const report = await world.typed('report', run)
    expect(report.text).toContain('deferred')
    expect(report.text).toContain('tag 2')
  })

  test('rejected, it can be asked for again, and be approved then', async () => {
    const run = await fixWaits()
    await world.typed('reject', run, '--by', 'ben', '--reason', 'not tonight')
    expect((await world.typed('watch', run)).exit).toBe(6)
    expect((await fix('--tag', '3')).exit).toBe(3)
    await world.typed('approve', run, '--yes', '--by', 'ben')
    expect((await world.typed('watch', run)).exit).toBe(0)
    expect(await world.serving()).toBe('3')
  })

  test('held and cancelled after it was approved, it does nothing', async () => {
    const run = await fixWaits()
    expect((await world.typed('hold', run, '--by', 'cleo')).exit).toBe(0)
    await world.typed('approve', run, '--yes', '--by', 'ben')
    while ((await recovery()).state !== 'held') await pause(50)
    expect((await world.typed('cancel', run, '--by', 'cleo', '--reason', 'it is too late')).exit).toBe(0)
    expect((await world.typed('watch', run)).exit).toBe(6)
    expect((await world.typed('report', run)).text).toContain('cancelled by cleo: it is too late')
    const late = await world.typed('approve', run, '--yes', '--by', 'ben')
    expect(late.text).toContain('does not wait for an approval')
    expect(await done()).toEqual(['0001_orders'])
    expect(world.consumer.state).toBe('paused')
  })
})

test('a run of another kind has no release that mends it', async () => {
  await company({ migrations: PRICE })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
  const answer = await fix('--tag', '3')
  expect(answer.exit, answer.text).not.toBe(0)
  expect(answer.text).toContain('no run is open')
})

/** What the ledger has, and does not mark as half done. */
const done = async (): Promise<string[]> =>
  (await world.rows<{ version: string }>('select version from headgate_migrations where not dirty order by 1')).map(
    ({ version }) => version,
  )

const terminate = (): Promise<unknown> =>
  world.temporal.workflow.getHandle(`headgate/${world.project}/staging/recover`).terminate('somebody tidied up')

const recovery = (): Promise<RunState> =>
  world.temporal.workflow.getHandle(`headgate/${world.project}/staging/recover`).query<RunState>('state')
