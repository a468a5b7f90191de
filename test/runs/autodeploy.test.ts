import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

const NOTE = { '0002_note.sql': 'alter table orders add column note text' }
const ITEM = { '0003_item.contract.sql': 'alter table orders alter column item drop not null' }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half boolean;
    create unique index concurrently on orders (item)`,
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** A company whose CI deploys by itself: a file says that it is held, another one how much is under way. */
async function company(migrations: Record<string, string>, more: object = {}, isHeld = false): Promise<void> {
  const autodeploy = [
    {
      ...{ kind: 'command', name: 'ci', hold: ['./bin/ci-hold'], release: ['./bin/ci-release'] },
      ...{ status: ['./bin/ci-status'], within: '3s' },
    },
  ]
  world = await World.create({ migrations, configuration: { autodeploy, ...more } })
  await world.script(
    'ci-hold',
    'touch ci-held; echo "held while the service is $(test -e running && echo up)" >> ci-log',
  )
  await world.script(
    'ci-release',
    'rm -f ci-held; echo "released while the service is $(test -e running && echo up)" >> ci-log',
  )
  const state = 'if [ -e ci-held ]; then echo held; else echo on; fi'
  await world.script(
    'ci-status',
    `echo "{\\"state\\":\\"$(${state})\\",\\"running\\":$(cat ci-running 2>/dev/null || echo 0)}"`,
  )
  if (isHeld) await writeFile(join(world.folder, 'ci-held'), '')
  await world.startWorker()
}

const isHeld = (): boolean => existsSync(join(world.folder, 'ci-held'))

test('what deploys by itself is held while a stage runs, and not while a person is waited for', async () => {
  await company({ ...NOTE, ...ITEM })
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan.text).toContain('holds      ci')
  await world.start()
  const { digest, lines } = await world.until(({ state }) => state === 'waiting')
  expect(isHeld()).toBe(false)
  expect(lines.map(({ step }) => step).slice(2, 4)).toEqual(['hold-autodeploy', 'pause-consumers'])
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  await world.until(({ step, stage }) => stage === 2 && step === 'migrate')
  expect(isHeld()).toBe(true)
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(isHeld()).toBe(false)
  expect(ending.lines.findLast(({ step }) => step === 'release-autodeploy')?.note).toBe('ci goes on')
})

test('what somebody had held before stays held', async () => {
  await company(NOTE, {}, true)
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(isHeld()).toBe(true)
  expect(ending.lines.findLast(({ step }) => step === 'release-autodeploy')?.note).toBe('ci stays as it was')
})

test('a deployment that is under way and does not end keeps the run from its first step, and CI goes on', async () => {
  await company(NOTE)
  await writeFile(join(world.folder, 'ci-running'), '1')
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 5, services: 'as before', consumers: 'as before the run' })
  expect(ending.reason).toContain('ci is not held after 3000 ms: held, 1 under way')
  expect(isHeld()).toBe(false)
  expect(ending.lines.some(({ step }) => step === 'pause-consumers')).toBe(false)
})

test('one that does not answer is found before anything is touched', async () => {
  await company(NOTE)
  await world.script('ci-status', 'echo "no such job" >&2; exit 1')
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 4 })
  expect(ending.reason).toContain('no such job')
  expect((await world.typed('doctor', 'staging')).text).toContain('no such job')
})

test('where a person is needed it stays held, and goes on when the run is recovered', async () => {
  await company(HALF, { quiesce: 'none' })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  expect(isHeld()).toBe(true)
  const answer = await world.typed('recover', 'staging', '--accept')
  expect(answer.exit, answer.text).toBe(0)
  expect(isHeld()).toBe(false)
  expect(world.consumer.state).toBe('running')
})
