import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { differences, type Snapshot } from '../checker/snapshot.js'
import type { Answer, Person } from '../support/command-line.js'
import { freePort } from '../support/http-server.js'
import { CANARY, reference, type SecretWorld, secretWorld, withPassword } from '../support/secret-world.js'
import type { World, WorldOptions } from '../support/world.js'

const EXPAND = { '0002_add_note.sql': 'alter table orders add column note text' }
const CONTRACT = { '0003_drop_item.contract.sql': 'alter table orders alter column item drop not null' }

let secret: SecretWorld
let world: World
let folder: string
let ana: Person
let before: Snapshot

async function found(options: Omit<WorldOptions, 'writesLate'>, workerEnv?: Record<string, string>): Promise<void> {
  secret = await secretWorld(options, workerEnv)
  world = secret.world
  folder = secret.folder
  ana = secret.person('ana')
}
const leave = (): Promise<void> => secret.leave()

const nowhere = async (): Promise<string> => `postgresql://postgres@127.0.0.1:${await freePort()}/shop`

describe('nothing is changed and the words are clear', () => {
  beforeAll(async () => {
    const environments = { unset: { url: reference('NOT_SET_ANYWHERE') }, gone: { url: reference('GONE_URL') } }
    await found({ migrations: EXPAND, environments }, { GONE_URL: withPassword(await nowhere()) })
  })
  beforeEach(async () => {
    before = await world.snapshot()
    world.consumer.server.received.length = 0
  })
  afterEach(async () => {
    expect(differences(before, await world.snapshot())).toEqual([])
    expect((await world.leftOvers()).left).toEqual([])
    expect(world.consumer.server.received.filter(({ method }) => method === 'POST')).toEqual([])
  })
  afterAll(leave)

  const deploy = (tag: string, environment = 'staging'): Promise<Answer> =>
    ana.types('deploy', environment, '--tag', tag)

  /** In a folder with this headgate.yaml. */
  async function deployBeside(yaml: string): Promise<Answer> {
    const place = await mkdtemp(join(folder, 'beside-'))
    await writeFile(join(place, 'headgate.yaml'), yaml)
    return ana.typesIn(place, {}, 'deploy', 'staging', '--tag', '2')
  }

  test('after an unknown configuration key', async () => {
    const answer = await deployBeside(
      `name: ${world.project}\nmigratr: { kind: umzug }\nenvironments:\n  staging: { url: "${reference('WORLD_URL')}" }\n`,
    )
    expect(answer).toMatchObject({ exit: 1, stdout: '' })
    expect(answer.stderr).toContain('error E101')
    expect(answer.stderr).toContain('2:1: unknown key "migratr" at the top of the file, did you mean "migrator"?')
  })

  test('after a typing error in a marker, which would have had a contract migration go out before its image', async () => {
    await world.release('5', { '0002_drop.sql': '-- headgate:phase=contact\nalter table orders drop column item' })
    const answer = await deploy('5')
    expect(answer.exit, answer.stderr).not.toBe(0)
    expect(answer.stderr + answer.stdout).toMatch(
      /0002_drop\.sql:1:4: headgate:phase=contact: did you mean headgate:phase=contract\?/,
    )
  })

  test('after a password in the file, which is not echoed', async () => {
    const answer = await deployBeside(
      `name: ${world.project}\nenvironments:\n  staging: { url: "${withPassword(world.database.url)}" }\n`,
    )
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toContain('environments.staging.url holds a password; write a reference')
  })

  test('after a key that is wrong where the worker is', async () => {
    await world.configure({ backup: { knid: 'dump' } })
    const answer = await deploy('2').finally(() => world.configure({}))
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toContain('unknown key "knid" in backup, did you mean "kind"?')
  })

  test('after a variable that is not set where the worker is', async () => {
    const answer = await deploy('2', 'unset')
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toContain('error E102')
    expect(answer.stderr).toContain('NOT_SET_ANYWHERE, which is not set')
  })

  test('after a database that cannot be reached', async () => {
    const answer = await deploy('2', 'gone')
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toMatch(/error E12[01]: .*127\.0\.0\.1:\d+/)
    expect(answer.stderr).toContain('ECONNREFUSED')
  })

  test('after a Temporal that cannot be reached: exit 9', async () => {
    const port = await freePort()
    const answer = await ana.typesIn(
      folder,
      { TEMPORAL_ADDRESS: `127.0.0.1:${port}` },
      ...['deploy', 'staging', '--tag', '2', '--project', world.project],
    )
    expect(answer.exit).toBe(9)
    expect(answer.stderr).toContain(`error E110: cannot reach Temporal at 127.0.0.1:${port}`)
    expect(answer.stderr).toContain('headgate dev')
  })

  test('after a project that no worker serves: exit 9', async () => {
    const answer = await ana.typesIn(folder, {}, 'deploy', 'staging', '--tag', '2', '--project', 'nobody')
    expect(answer.exit).toBe(9)
    expect(answer.stderr).toContain('error E111: no worker polls headgate-nobody-staging')
    expect(answer.stderr).toContain('headgate worker')
  })

  test('after an environment that nobody knows', async () => {
    const far = await deploy('2', 'qa')
    expect(far.exit).toBe(9)
    expect(far.stderr).toContain(`no worker polls headgate-${world.project}-qa`)
    const near = await ana.typesIn(world.folder, {}, 'deploy', 'qa', '--tag', '2')
    expect(near.exit).toBe(1)
    expect(near.stderr).toMatch(/error E103: .*qa.*staging/)
  })

  test('after no project at all', async () => {
    const answer = await ana.typesIn(folder, {}, 'deploy', 'staging', '--tag', '2')
    expect(answer.exit).toBe(1)
    expect(answer.stderr).toContain('which project?')
  })

  test.each(['$(touch pwned)', '../../etc', '-rf', '2;drop', `2\u001b[31m`, '2\n3', '', 'x'.repeat(200)])(
    'after the tag %j',
    async (tag) => {
      const typed = await ana.types('deploy', 'staging', `--tag=${tag}`)
      expect(typed.exit).toBe(1)
      expect(typed.stderr).toContain('error E100')
      expect(typed.stderr).toContain('a tag is 1 to 128 of letters, digits, . _ -')
      expect(typed.stderr).not.toContain('\u001b')
      const handle = await world.start('deploy', { tag })
      await expect(handle.result()).rejects.toThrow()
      const { raw } = await handle.describe()
      expect(raw.workflowExecutionInfo?.status, 'the workflow failed and is not stuck').toBe(3)
    },
  )

  test('after a tag without a release', async () => {
    const answer = await deploy('99')
    expect(answer.exit).toBe(4)
    expect(answer.text).toMatch(/releases\/99/)
    expect(answer.text).toContain('aborted')
  })

  test('after a tag whose image does not exist', async () => {
    await world.script('exists', 'test "$1" = 1')
    const answer = await deploy('2').finally(() => world.script('exists', 'test -d "releases/$1"'))
    expect(answer.exit).toBe(4)
    expect(answer.text).toContain('api: tag 2 does not exist')
  })

  test('after an empty folder of migrations', async () => {
    await mkdir(join(world.folder, 'releases', '3'), { recursive: true })
    const answer = await deploy('3')
    expect(answer.exit).toBe(4)
    expect(answer.text).toMatch(/no migrations|0001_orders is applied/)
  })

  test('after an expand migration behind a contract migration', async () => {
    await world.release('4', { ...CONTRACT, '0004_more.sql': 'alter table orders add column more text' })
    const answer = await deploy('4')
    expect(answer.exit).toBe(4)
    expect(answer.text).toContain('split the release: one that ends with')
    expect(answer.text).not.toContain('was deferred')
    expect(answer.text).toContain('0004_more')
  })

  test('after a migration that was edited once it was applied', async () => {
    await world.release('5', { '0001_orders.sql': 'select 2' })
    const answer = await deploy('5')
    expect(answer.exit).toBe(4)
    expect(answer.text).toContain('0001_orders was edited after it was applied')
  })

  test('after a deploy that has nothing to do: exit 0', async () => {
    const answer = await deploy('1')
    expect(answer.exit).toBe(0)
    expect(answer.text).toContain('succeeded: nothing to do')
  })

  test('after a migration whose own words hold the password', async () => {
    await world.release('6', { '0002_hash.sql': `select '${CANARY}'::int` })
    expect((await ana.types('plan', 'staging', '--tag', '6')).exit).toBe(0)
    const answer = await deploy('6')
    expect(answer.exit).toBe(5)
    expect(answer.text).toContain('invalid input syntax for type integer')
    const [run = ''] = /staging-\d{8}-\d{6}/.exec(answer.text) ?? []
    expect((await ana.types('report', run)).exit).toBe(0)
    expect((await ana.types('report', run, '-o', 'json')).exit).toBe(0)
    world.consumer.server.received.length = 0
  })

  test('after a digest of another plan', async () => {
    const answer = await ana.types('deploy', 'staging', '--tag', '2', '--digest', '0123456789ab')
    expect(answer.exit).toBe(4)
    expect(answer.text).toMatch(/the plan is [0-9a-f]{12} now, not 0123456789ab/)
  })
})

describe('from an empty folder, with no variable of a database', () => {
  afterEach(leave)

  test('a deploy works against a worker elsewhere, and its report can be read', async () => {
    await found({ migrations: EXPAND })
    const answer = await ana.types('deploy', 'staging', '--tag', '2')
    expect(answer, answer.text).toMatchObject({ exit: 0 })
    expect(answer.text).toContain('succeeded')
    expect(await world.serving()).toBe('2')
    expect(await world.rows('select version from headgate_migrations')).toHaveLength(2)
    const [run = ''] = /staging-\d{8}-\d{6}/.exec(answer.text) ?? []
    const report = await ana.types('report', run)
    expect(report).toMatchObject({ exit: 0, stderr: '' })
    expect(report.stdout).toContain('add note')
    expect((await ana.types('report', run, '-o', 'json')).exit).toBe(0)
    expect((await world.leftOvers()).left).toEqual([])
  })

  test('a second run is refused while one is open, and names it', async () => {
    await found({ migrations: { ...EXPAND, ...CONTRACT } })
    const first = await ana.types('deploy', 'staging', '--tag', '2')
    expect(first.exit).toBe(3)
    const [run = ''] = /staging-\d{8}-\d{6}/.exec(first.text) ?? []
    before = await world.snapshot()
    for (const command of [
      ['deploy', 'staging', '--tag', '2'],
      ['migrate', 'staging'],
      ['rollback', 'staging'],
    ]) {
      const second = await ana.types(...command)
      expect(second.exit, second.text).toBe(4)
      expect(second.stderr).toContain(`error E133: run ${run} is open on staging`)
      expect(second.stderr).toContain(`headgate approve ${run}`)
    }
    expect(differences(before, await world.snapshot())).toEqual([])
    expect((await ana.types('status', run)).exit).toBe(0)
    expect((await ana.types('cancel', run)).exit).toBe(0)
    expect(await world.ending()).toMatchObject({ outcome: 'deferred', exit: 7 })

    // What was deferred is in the way of the next release's expand migration: which it is, whose, and what to do is said.
    await world.release('3', { ...EXPAND, ...CONTRACT, '0004_more.sql': 'alter table orders add column more text' })
    const plan = await ana.types('plan', 'staging', '--tag', '3')
    expect(plan.exit, plan.text).toBe(4)
    expect(plan.stderr).toContain('expand migration 0004_more comes after contract migration 0003_drop_item')
    expect(plan.stderr).toContain(`0003_drop_item is pending since run ${run} was deferred (cancelled by ana)`)
    expect(plan.stderr).toContain('do        deploy what was deferred first')
  })

  test('a database that was replaced during the wait is not the one that was approved', async () => {
    await found({ migrations: { ...EXPAND, ...CONTRACT } })
    expect((await ana.types('deploy', 'staging', '--tag', '2')).exit).toBe(3)
    const { name } = world.database
    await world.rows(`create database ${name}_copy template ${name}`, 'postgres')
    await world.rows(`drop database ${name}`, 'postgres')
    await world.rows(`alter database ${name}_copy rename to ${name}`, 'postgres')
    before = await world.snapshot()
    const { digest } = await world.until(({ state }) => state === 'waiting')
    await ana.types('approve', 'staging', '--digest', digest.slice(0, 12), '--by', 'ben')
    const ending = await world.ending()
    expect(ending).toMatchObject({ outcome: 'deferred', exit: 4 })
    expect(ending.reason).toContain('the database is not the one the plan was approved for')
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(await world.rows('select version from headgate_migrations')).toHaveLength(2)
  })
})
