import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { ALEMBIC_LEDGER, DROP, FIRST, NOTE, type Revision, writeAlembic } from '../support/alembic-release.js'
import { World, type WorldOptions } from '../support/world.js'
import { ComposeProject } from './compose-project.js'
import { buildImage, docker, untilNoContainers } from './containers.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
  await untilNoContainers()
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

describe('a service that is a Compose project', () => {
  let project: ComposeProject
  afterEach(() => project.end())

  /** As the world's own service does: it writes while `running` is there. */
  async function composedWorld(options: Partial<WorldOptions> = {}): Promise<void> {
    world = await World.create({
      migrations: { '0002_note.sql': 'alter table orders add column note text' },
      ...options,
    })
    project = new ComposeProject({
      api: { volumes: [`${world.folder}:/world`], environment: { RELEASE: '$' + '{TAG:?no tag}' } },
    })
    for (const tag of ['1', '2']) project.build(tag, tag, ['python3', '-c', SERVES])
    project.compose('1', 'up', '--detach', '--wait')
    await world.configure({
      services: { api: { kind: 'compose', services: ['api'], files: [project.file], tagVariable: 'TAG' } },
      ...options.configuration,
    })
    await world.startWorker()
  }

  test('is stopped, and goes out on the new image', async () => {
    await composedWorld()
    const ended = await world.typed('deploy', 'staging', '--tag', '2')
    expect(ended, ended.text).toMatchObject({ exit: 0 })
    expect(ended.text).toContain('gate proven closed')
    expect(project.runs('api')).toBe('2')
    await world.quiet()
    expect(await world.lost()).toEqual([])
    const doctor = await world.typed('doctor', 'staging')
    expect(doctor.text).toMatch(/service api +.*2/)
  })

  test('runs the image of before after a release that fails, though its tag was moved meanwhile', async () => {
    const smoke = [{ name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }]
    await composedWorld({ configuration: { smoke } })
    project.build('1', '1 anew')
    const ended = await world.typed('deploy', 'staging', '--tag', '2')
    expect(ended, ended.text).toMatchObject({ exit: 5 })
    expect(ended.text).toContain('nobody home')
    expect(project.runs('api')).toBe('1')
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test.each([
    ['backup', 'aborted', ['0001_orders']],
    ['migrate', 'rolled-back', ['0001_orders', '0002_note']],
  ])('whose new tag is moved during %s does not get that: %s', async (during, outcome, versions) => {
    const migrations = { '0002_note.sql': 'select pg_sleep(4); alter table orders add column note text' }
    await composedWorld({ migrations })
    await world.start()
    await world.until(({ lines }) => lines.some(({ step, state }) => step === during && state === 'running'))
    project.build('2', '2 anew', ['python3', '-c', SERVES])
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome, exit: 4 })
    expect(ending.reason).toContain('tag 2 of api is another image than the planned')
    expect(project.runs('api')).toBe('1')
    expect(await world.versions()).toEqual(versions)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('with a tag that runs already and is another image now gets that', async () => {
    await composedWorld({ migrations: {} })
    project.build('1', '1 anew', ['python3', '-c', SERVES])
    const ended = await world.typed('deploy', 'staging', '--tag', '1')
    expect(ended, ended.text).toMatchObject({ exit: 0 })
    expect(project.runs('api')).toBe('1 anew')
  })

  test('whose release has no image is refused before anything is stopped', async () => {
    await composedWorld()
    docker('rmi', '--force', `${project.name}:2`)
    const ended = await world.typed('deploy', 'staging', '--tag', '2')
    expect(ended, ended.text).toMatchObject({ exit: 4 })
    expect(ended.text).toContain(`there is no image ${project.name}:2`)
    expect(project.runs('api')).toBe('1')
  })
})

const SERVES = `
import os, signal, sys, time
open('/world/current', 'w').write(os.environ['RELEASE'])
open('/world/running', 'w').close()
def leave(*_):
    os.remove('/world/running')
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
while True:
    time.sleep(0.05)
`
