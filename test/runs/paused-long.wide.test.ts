import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

test('people are told of consumers that stay paused for longer than they may, also while a person is waited for', async () => {
  world = await World.create({
    migrations: { '0002_half.sql': '-- headgate:no-transaction\ncreate unique index concurrently on orders (item)' },
    configuration: { quiesce: 'none', pauseLimit: '1s', notify: [{ kind: 'command', command: ['./bin/tell'] }] },
  })
  await world.script('tell', 'cat >> told')
  await world.startWorker()
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator' })
  const told = (): string[] => {
    const file = join(world.folder, 'told')
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
    return lines.map((line) => JSON.parse(line)).flatMap(({ kind, text }) => (kind === 'stuck' ? [text] : []))
  }
  await expect
    .poll(told, { timeout: 60_000 })
    .toContainEqual(expect.stringMatching(/^consumers are paused since .* UTC, longer than/))
  expect((await world.typed('recover', 'staging', '--accept')).exit).toBe(0)
  expect(world.consumer.state).toBe('running')
})
