import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { headgate } from '../support/command-line.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

async function run(options: WorldOptions): Promise<void> {
  world = await World.create(options)
  await world.startWorker()
}

const EXPAND = { '0002_add_note.sql': 'alter table orders add column note text' }
const pausesAsked = (): number => world.consumer.server.received.filter(({ path }) => path === '/pause').length

test('a folder for dumps that cannot be written to is found before anybody is paused', async () => {
  await run({ migrations: EXPAND, configuration: { backup: { kind: 'dump', to: 'file:///dev/null/backups' } } })
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('/dev/null/backups')
  expect(pausesAsked()).toBe(0)
  expect(await world.serving()).toBe('1')
})

test('a machine without pg_dump is found before anybody is paused, and doctor says so', async () => {
  world = await World.create({ migrations: EXPAND })
  const bin = join(world.folder, 'path')
  await mkdir(bin)
  for (const program of ['sh', 'cat', 'touch', 'rm', 'test', 'echo'])
    await symlink(`/usr/bin/${program}`, join(bin, program))
  await world.startWorker({ PATH: bin })
  const doctor = await headgate(['doctor', 'staging', '--tag', '2'], world.folder, { TEMPORAL_ADDRESS: world.address })
  expect(doctor.text).toMatch(/no {2}backup .*pg_dump/)
  expect(doctor.exit).toBe(1)
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('pg_dump')
  expect(pausesAsked()).toBe(0)
  expect(await world.serving()).toBe('1')
})

test('a damaged backup is not what a restore puts in place: that is found while everything runs', async () => {
  await run({ migrations: EXPAND })
  await world.start('backup', {})
  const handle = world.temporal.workflow.getHandle(`headgate/${world.project}/staging/backup`)
  expect(await world.ending(handle)).toMatchObject({ outcome: 'succeeded' })
  const root = join(world.folder, 'backups', world.project, 'staging')
  const [name = ''] = await readdir(root)
  const [file = ''] = (await readdir(join(root, name))).filter((one) => one.endsWith('.dat.gz'))
  await writeFile(join(root, name, file), 'not what was written')
  await world.start('restore', { backup: name })
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain(file)
  expect(pausesAsked()).toBe(0)
  expect(await world.serving()).toBe('1')
})

test('where a replication slot would not follow a swap nobody is stopped for it, the plan says so, and a restore is refused', async () => {
  await run({ migrations: EXPAND })
  const slot = `s_${world.database.name}`
  await world.rows(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  const [plan] = await world.journal<{ body: Record<string, unknown> }>('select body from {s}.plans')
  expect(plan?.body).toMatchObject({ backups: ['dump'], quiesces: [] })
  expect(plan?.body.noRestoreBecause).toBe(`these logical replication slots would not follow a swap: ${slot}`)
  const [backup] = await world.journal<{ name: string }>('select name from {s}.backups')
  await world.start('restore', { backup: backup?.name })
  const refused = await world.ending()
  expect(refused, JSON.stringify(refused)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(refused.reason).toContain(
    `cannot be swapped: these logical replication slots would not follow a swap: ${slot}`,
  )
  await world.rows(`select pg_drop_replication_slot('${slot}')`)
})
