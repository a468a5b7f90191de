import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { headgate } from '../support/command-line.js'
import { World } from '../support/world.js'

let world: World
afterEach(() => world.end())

test('where a key is set, Temporal keeps nothing of a run that can be read, and commands without the key say which one they lack', async () => {
  world = await World.create({
    migrations: {
      '0002_confidential.sql': 'alter table orders add column confidential text',
      '0003_broken.sql': 'alter table confidential_too add column more text',
    },
  })
  const keys = join(world.folder, 'keys')
  await writeFile(keys, randomBytes(32).toString('base64'), { mode: 0o600 })
  await world.startWorker({ HEADGATE_CODEC_KEYS: keys })
  const typed = (env: Record<string, string>, ...words: string[]) =>
    headgate(words, world.folder, { TEMPORAL_ADDRESS: world.address, HEADGATE_USER: 'ana@example.com', ...env })
  const withKey = { HEADGATE_CODEC_KEYS: keys }

  const deploy = await typed(withKey, 'deploy', 'staging', '--tag', '2')
  expect(deploy.text).toContain('0003_broken: relation "confidential_too" does not exist')
  expect(deploy.text).toContain('restored')
  expect(deploy.exit).toBe(5)
  const status = await typed(withKey, 'status', 'staging')
  expect(status.text).toContain('confidential_too')

  const history = await world.handle.fetchHistory()
  const kept = JSON.stringify(history, (_, value: unknown) =>
    typeof value === 'string' ? value + Buffer.from(value, 'base64').toString('latin1') : value,
  )
  expect(kept).toContain('migrateStage')
  for (const word of ['confidential', 'ana@example.com', 'does not exist']) expect(kept).not.toContain(word)

  const without = await typed({}, 'status', 'staging')
  expect(without.exit).toBe(1)
  expect(without.text).toContain('E112')
})
