import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { headgate } from '../support/command-line.js'
import { World } from '../support/world.js'

const DROP = 'alter table orders drop column note'
const release = (sql: string): Record<string, string> => ({ '0002_note.sql': sql })

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const begun = async (sql: string, level: string): Promise<void> => {
  world = await World.create({
    migrations: release(sql),
    schema: 'alter table orders add column note text',
    configuration: { lint: { level } },
    writesLate: true,
  })
  await world.startWorker()
}
const typed = (...words: string[]): ReturnType<typeof headgate> =>
  headgate(words, world.folder, { TEMPORAL_ADDRESS: world.address })

test('what breaks the image that runs is told by the plan, and keeps the run from beginning, until it is waived with a reason', async () => {
  await begun(DROP, 'stop')
  const before = await world.snapshot()
  const plan = await typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 4 })
  expect(plan.text).toContain('lock     orders ACCESS EXCLUSIVE, for a moment')
  expect(plan.text).toContain('stop     line 1: column note of orders is dropped while the previous image runs')
  expect(plan.text).toContain('instead: mark the migration headgate:phase=contract')
  const refused = await typed('deploy', 'staging', '--tag', '2')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('E136')
  expect(refused.text).toContain('0002_note, line 1: column note of orders is dropped')
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.journal('select name from {s}.runs')).toEqual([])

  await world.release('2', release(`-- headgate:waive breaks-previous-image: nobody reads it\n${DROP}`))
  const waived = await typed('plan', 'staging', '--tag', '2')
  expect(waived, waived.text).toMatchObject({ exit: 0 })
  expect(waived.text).toContain('(breaks-previous-image): nobody reads it')
  expect(await typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
  expect((await typed('report', run?.name ?? '')).text).toContain('waived: nobody reads it')
})

test('where findings only warn the run begins, and its report tells of them', async () => {
  await begun(DROP, 'warn')
  expect(await typed('plan', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  expect(await typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
  expect((await typed('report', run?.name ?? '')).text).toContain('column note of orders is dropped')
})
