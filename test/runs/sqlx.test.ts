import { afterEach, describe, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { headgate } from '../support/command-line.js'
import { SQLX, SQLX_LEDGER } from '../support/sqlx-release.js'
import { World } from '../support/world.js'

const NOTE = { '0002_note.sql': 'alter table orders add column note text' }
const DROP = { '0003_item.contract.sql': 'alter table orders alter column item drop not null' }

let world: World

/** A company that uses sqlx, with version 1 applied. */
async function sqlxWorld(migrations: Record<string, string>, writesLate = false): Promise<void> {
  world = await World.create({
    migrations,
    writesLate,
    schema: SQLX_LEDGER,
    configuration: { migrator: { kind: 'sqlx', dir: 'releases/{tag}', command: [SQLX] } },
  })
  await world.startWorker()
}

const versions = async (): Promise<unknown[]> =>
  (await world.rows<{ version: string }>('select version::text from _sqlx_migrations order by 1')).map(
    ({ version }) => version,
  )

describe('with sqlx', () => {
  afterEach(async () => {
    const { left } = await world.leftOvers().finally(() => world.end())
    expect(left).toEqual([])
  })

  test('a release of sqlx with an expand and a contract migration goes its whole way', async () => {
    await sqlxWorld({ ...NOTE, ...DROP })
    await world.start()
    const { digest } = await world.until(({ state }) => state === 'waiting')
    expect(await versions()).toEqual(['1', '2'])
    expect(await world.serving()).toBe('2')
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(await versions()).toEqual(['1', '2', '3'])
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('a migration of sqlx that commits half of its work and then fails is put back: the sessions of the tool are known', async () => {
    await sqlxWorld({ '0002_half.sql': `${NOTE['0002_note.sql']}; commit; select 1 / 0` }, true)
    const before = await world.snapshot()
    await world.start()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
    expect(ending.reason).toContain('division by zero')
    expect(differences(before, await world.snapshot())).toEqual([])
  })

  test('a migration of sqlx that fails in its transaction leaves nothing', async () => {
    await sqlxWorld({ '0002_broken.sql': `${NOTE['0002_note.sql']}; select 1 / 0` }, true)
    const [before, oid] = [await world.snapshot(), await world.oid()]
    await world.start()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 5 })
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(await world.oid()).toBe(oid)
  })

  test('what sqlx left half done is done by the release that mends it', async () => {
    world = await World.create({
      migrations: {
        '0002_half.sql': '-- no-transaction\ncreate unique index concurrently orders_by_item on orders (item)',
      },
      schema: SQLX_LEDGER,
      configuration: { migrator: { kind: 'sqlx', dir: 'releases/{tag}', command: [SQLX] }, quiesce: 'none' },
    })
    await world.startWorker()
    await world.start()
    expect(await world.ending()).toMatchObject({ outcome: 'needs-operator' })
    const mended = 'drop index if exists orders_by_item; create index orders_by_item on orders (item)'
    await world.release('3', { '0002_half.sql': mended })
    const answer = await world.typed('recover', 'staging', '--fix', '--tag', '3')
    expect(answer.exit, answer.text).toBe(0)
    expect(await versions()).toEqual(['1', '2'])
    expect(await world.serving()).toBe('3')
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('a migration that was edited after it was applied is refused in the plan', async () => {
    await sqlxWorld(NOTE, true)
    await world.release('2', { '0001_orders.sql': 'select 2', ...NOTE })
    const answer = await headgate(['plan', 'staging', '--tag', '2'], world.folder, { TEMPORAL_ADDRESS: world.address })
    expect(answer.exit, answer.text).toBe(4)
    expect(answer.text).toContain('1 was edited after it was applied')
  })
})
