import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { ALEMBIC_LEDGER, DROP, FIRST, NOTE, type Revision, writeAlembic } from '../support/alembic-release.js'
import { World } from '../support/world.js'
import { buildImage, containers, docker } from './containers.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
  while (containers().length > 0) await pause(50)
})

/** A company whose releases are images with Alembic in them; revision a1 is applied. */
async function shippedWorld(revisions: Revision[], writesLate = false): Promise<void> {
  world = await World.create({
    migrations: {},
    writesLate,
    schema: ALEMBIC_LEDGER,
  })
  const image = `${world.project}/shop`
  await world.configure({ migrator: { kind: 'alembic', image: `${image}:{tag}` } })
  for (const [tag, all] of Object.entries({ 1: [FIRST], 2: [FIRST, ...revisions] })) {
    await writeAlembic(join(world.folder, 'releases', tag), all)
    buildImage(join(world.folder, 'releases', tag), `${image}:${tag}`)
  }
  await world.startWorker()
}

test('a release whose migrations are in its image goes its whole way', async () => {
  await shippedWorld([NOTE, DROP])
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.rows('select version_num from alembic_version')).toEqual([{ version_num: 'c3' }])
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('a revision in a container that commits half of its work is put back: the sessions of the container are known', async () => {
  await shippedWorld([{ ...NOTE, sql: [...NOTE.sql, 'commit', 'select 1 / 0'] }], true)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a tag that is another image after the approval voids it', async () => {
  await shippedWorld([NOTE, DROP])
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  const folder = join(world.folder, 'releases', '2')
  await writeAlembic(folder, [FIRST, NOTE, { ...DROP, sql: ['drop table orders'] }])
  buildImage(folder, `${world.project}/shop:2`)
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  const again = await world.until((state) => state.state === 'waiting' && state.digest !== digest)
  expect(again.digest).not.toBe(digest)
  await world.handle.executeUpdate('reject', { args: [{ by: 'ben', digest: again.digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred' })
  expect(await world.rows('select version_num from alembic_version')).toEqual([{ version_num: 'b2' }])
})

test('an image that is nowhere is told of in the plan, and nothing is changed', async () => {
  await shippedWorld([NOTE], true)
  docker('rmi', `${world.project}/shop:2`)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({
    exit: 4,
    reason: expect.stringContaining(`there is no image ${world.project}/shop:2`),
  })
  expect(differences(before, await world.snapshot())).toEqual([])
})
