import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { World } from '../support/world.js'

const TOOL = fileURLToPath(new URL('../support/head-tool.mjs', import.meta.url))

interface ToolMigration {
  version: string
  sql: string
  phase?: 'contract'
}
const NOTE: ToolMigration = { version: '2', sql: 'alter table orders add column note text' }
const DROP: ToolMigration = {
  version: '3',
  sql: 'alter table orders alter column item drop not null',
  phase: 'contract',
}
const FAILS: ToolMigration = { version: '3', sql: 'select 1 / 0', phase: 'contract' }

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** A company whose tool cannot stop before head. */
async function headOnlyWorld(migrations: ToolMigration[], writesLate = false, status: string[] = []): Promise<void> {
  const file = 'releases/{tag}/migrations.json'
  world = await World.create({
    migrations: {},
    writesLate,
    schema: `create table tool_ledger (version text primary key); insert into tool_ledger values ('1')`,
    configuration: {
      migrator: {
        kind: 'command',
        status: [...status, process.execPath, TOOL, 'status', file],
        up: [process.execPath, TOOL, 'up', file],
      },
    },
  })
  const first: ToolMigration = { version: '1', sql: 'select 1' }
  await writeFile(join(world.folder, 'releases', '1', 'migrations.json'), JSON.stringify([first]))
  await writeFile(join(world.folder, 'releases', '2', 'migrations.json'), JSON.stringify([first, ...migrations]))
  await world.startWorker()
}

async function approved(): Promise<void> {
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  expect(await world.rows('select version from tool_ledger')).toHaveLength(1)
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
}

test('both phases are one contract stage, which waits for approval with nothing applied and then goes to head', async () => {
  await headOnlyWorld([NOTE, DROP])
  await approved()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.rows('select version from tool_ledger')).toHaveLength(3)
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('where its first migration fails nothing has changed', async () => {
  await headOnlyWorld([{ version: '2', sql: 'select 1 / 0' }, DROP], true)
  const before = await world.snapshot()
  await approved()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('where a later migration fails a contract statement may have committed: a person is told, and can restore', async () => {
  await headOnlyWorld([NOTE, FAILS], true)
  const before = await world.snapshot()
  await approved()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator', exit: 6, consumers: 'still paused' })
  expect(world.consumer.state).toBe('paused')
  const recovery = await world.start('recover', { recover: { choice: 'restore' } })
  const ending = await world.ending(recovery)
  expect(ending).toMatchObject({ exit: 0 })
  const [aside] = (await world.siblings()).filter((name) => name.includes('__q_'))
  expect(ending.database).toContain(`what was live until then is kept in database ${aside}`)
  expect(differences(before, await world.snapshot())).toEqual([])
})

test.each([
  ['the sessions of the tool are known', []],
  // Nameless, they are nobody's that the watch looks for.
  ['nobody saw those that only told of its ledger, but they wrote nothing', ['/usr/bin/env', '-u', 'PGAPPNAME']],
])('where an expand migration fails after another has committed the database is put back: %s', async (_, status) => {
  // Long enough to be seen: a session of a tool of others that comes and goes unseen makes the gate count as open.
  const note = { ...NOTE, sql: `${NOTE.sql}; select pg_sleep(0.5)` }
  await headOnlyWorld([note, { version: '3', sql: 'select 1 / 0' }], true, status)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a backup and a way back to the previous image need no files of a release', async () => {
  await headOnlyWorld([NOTE])
  expect(await world.ending(await world.start())).toMatchObject({ outcome: 'succeeded' })
  expect(await world.ending(await world.start('backup', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.ending(await world.start('rollback', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
})

test('a migration of a tool`s own that was edited since a run applied it is told of, and nothing where others did', async () => {
  await headOnlyWorld([NOTE])
  expect(await world.ending(await world.start())).toMatchObject({ outcome: 'succeeded' })
  const edited = [
    { version: '1', sql: 'select 2' },
    { ...NOTE, sql: `${NOTE.sql}s` },
  ]
  await writeFile(join(world.folder, 'releases', '2', 'migrations.json'), JSON.stringify(edited))
  const { text } = await world.typed('info', 'staging', '--tag', '2')
  expect(text).toMatch(/warn: 2 was edited since run staging-\S+ applied it/)
  expect(text).not.toContain('1 was edited')
})
