import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

const RELEASE = {
  '0002_note.sql': 'alter table orders add column note text',
  '0003_item.contract.sql': 'alter table orders alter column item drop not null',
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})
const repair = (...words: string[]): ReturnType<World['typed']> =>
  world.typed('repair', 'staging', ...words, '--tag', '2')

test('what somebody did by hand is marked as applied, what he undid as pending: each is a run of its own, with a report', async () => {
  world = await World.create({ migrations: RELEASE })
  await world.startWorker()
  await world.rows('alter table orders add column note text')
  const marked = await repair('mark-applied', '0002_note')
  expect(marked, marked.text).toMatchObject({ exit: 0 })
  expect(marked.text).toContain('0002_note is applied; it was pending')
  expect(marked.text).toContain('its schema is unchanged')
  expect(await world.versions()).toEqual(['0001_orders', '0002_note'])
  const [run] = await world.journal<{ name: string; kind: string; outcome: string }>('select * from {s}.runs')
  expect(run).toMatchObject({ kind: 'repair', outcome: 'succeeded' })
  const report = await world.typed('report', run?.name ?? '')
  expect(report.text).toContain('headgate repair staging mark-applied 0002_note --tag 2')
  const again = await repair('mark-applied', '0002_note')
  expect(again, again.text).toMatchObject({ exit: 4 })
  expect(again.text).toContain('0002_note is applied already')

  await world.rows('alter table orders drop column note')
  expect(await repair('mark-pending', '0002_note')).toMatchObject({ exit: 0 })
  expect(await world.versions()).toEqual(['0001_orders'])
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('what leaves a history with a hole, is no migration or no word of ours, is refused', async () => {
  world = await World.create({ migrations: RELEASE })
  await world.startWorker()
  const hole = await repair('mark-applied', '0003_item')
  expect(hole, hole.text).toMatchObject({ exit: 4 })
  expect(hole.text).toContain('0002_note comes before 0003_item: mark that as applied first')
  expect(await repair('mark-applied', '0009_none')).toMatchObject({ exit: 4 })
  const unknown = await repair('mark-pending', '0009_none')
  expect(unknown.text).toContain('has a migration 0009_none')
  expect(await repair('mark-done', '0002_note')).toMatchObject({ exit: 1 })
  expect(await world.journal('select name from {s}.runs')).toEqual([])
  expect(await world.versions()).toEqual(['0001_orders'])
})

test('while a run is open the history is the run`s', async () => {
  world = await World.create({ migrations: RELEASE })
  await world.startWorker()
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  const refused = await repair('mark-applied', '0003_item')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('is open')
  await world.handle.executeUpdate('cancel', { args: [{ by: 'ana' }] })
  await world.ending()
})

test('a migration that failed half-way outside of a transaction is put right by hand, and marked', async () => {
  const half = '-- headgate:no-transaction\nalter table orders add column note text;\nselect 1 / 0'
  world = await World.create({ migrations: { '0002_note.sql': half }, configuration: { quiesce: 'none' } })
  await world.startWorker()
  const deployed = await world.typed('deploy', 'staging', '--tag', '2')
  expect(deployed, deployed.text).toMatchObject({ exit: 6 })
  expect(await repair('mark-applied', '0002_note'), 'it is for recover to end the run').toMatchObject({ exit: 4 })
  const accepted = await world.typed('recover', 'staging', '--accept')
  expect(accepted, accepted.text).toMatchObject({ exit: 0 })
  const planned = await world.typed('plan', 'staging', '--tag', '2')
  expect(planned.text).toContain('the ledger marks 0002_note as half done')
  expect(planned.text).toContain('headgate repair staging mark-pending 0002_note')
  const marked = await repair('mark-applied', '0002_note')
  expect(marked, marked.text).toMatchObject({ exit: 0 })
  expect(marked.text).toContain('0002_note is applied; it was half done')
  expect(await world.versions()).toEqual(['0001_orders', '0002_note'])
})
