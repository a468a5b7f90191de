import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Watched } from '../checker/watch.js'
import { connect, elsewhere, execute } from '../checker/connect.js'
import {
  approving,
  begin,
  DOWN_FAILS,
  HALF_COMMITTED,
  prepared,
  REJECTED,
  TAKEN_BACK,
  TWO_STAGES,
} from '../support/courses.js'
import { CANARY } from '../support/secret-world.js'
import { type FaultWorld, faultWorld, referencesOf } from './fault-world.js'
import { type Servers, startServers } from './servers.js'
import { Watching } from './watching.js'

let servers: Servers
beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers.end())

/** A run that came to its end, or nothing that ran, of which each test spoils one thing and puts it right again. */
function ended(course?: typeof TWO_STAGES) {
  const it = {} as { place: FaultWorld; watching: Watching }
  beforeAll(async () => {
    const at = course ?? TWO_STAGES
    const place = await faultWorld(at, servers, await referencesOf(at))
    await place.startWorker()
    await prepared(place.world, at)
    const watching = await Watching.begin(place.folder)
    Object.assign(it, { place, watching })
    if (!course) return
    let isOver = false
    await begin(place.world, course)
    const approved = approving(place.world, () => isOver, course)
    await place.world.ending()
    isOver = true
    await approved
    await place.world.quiet()
    await watching.end()
  })
  afterAll(() => it.place.end())
  return it
}

/** What is red while something is spoilt: `4: order-17…`. */
async function redWhile(
  { watching }: { watching: Watching },
  spoil: () => Promise<() => Promise<unknown> | unknown>,
): Promise<string[]> {
  const heal = await spoil()
  const { violations } = await watching.judge()
  await heal()
  return violations.map(({ invariant, text }) => `${invariant}: ${text}`)
}

const HEALED = 'what was spoilt is as it was'

describe('after a release of two stages', () => {
  const it = ended(TWO_STAGES)
  const url = (): string => it.place.world.database.url
  const name = (): string => it.place.world.database.name
  const inFolder = (file: string): string => join(it.place.world.folder, file)
  const sql = (spoil: string, heal: string) => async (): Promise<() => Promise<void>> => {
    const filled = (text: string): string[] => text.replaceAll(':db', name()).split(';;')
    await execute(url(), ...filled(spoil))
    return () => execute(url(), ...filled(heal))
  }
  /** Changes what the watch wrote down. */
  const seen = (spoil: (watched: Watched) => void) => async () => {
    const file = join(it.place.folder, 'watched.json')
    const before = readFileSync(file, 'utf8')
    const watched: Watched = JSON.parse(before)
    spoil(watched)
    writeFileSync(file, JSON.stringify(watched))
    return () => writeFileSync(file, before)
  }
  const withFile = (file: () => string, text: string) => async () => {
    await writeFile(file(), text)
    return () => rm(file())
  }

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'succeeded', violations: [] })
  })

  test.each<[string, RegExp, () => Promise<() => Promise<unknown> | unknown>]>([
    [
      'a migration that is not in the ledger',
      /^1: the ledger has/,
      sql(
        `update headgate_migrations set version = 'x' where version = '0003_index'`,
        `update headgate_migrations set version = '0003_index' where version = 'x'`,
      ),
    ],
    [
      'a column that the release does not have',
      /^1: schema orders/,
      sql('alter table orders add column extra int', 'alter table orders drop column extra'),
    ],
    [
      'an index that is missing',
      /^1: index public\.orders_by_item/,
      sql('drop index orders_by_item', 'create index orders_by_item on orders (item)'),
    ],
    [
      'a paused consumer',
      /^2: consumer stock is paused/,
      async () => {
        it.place.world.consumer.state = 'paused'
        return () => {
          it.place.world.consumer.state = 'running'
        }
      },
    ],
    [
      'a consumer that somebody had paused, and that runs',
      /^2: consumer asleep is running/,
      async () => {
        it.place.world.sleeper.state = 'running'
        return () => {
          it.place.world.sleeper.state = 'paused'
        }
      },
    ],
    [
      'a consumer that was woken for a moment',
      /^2: asleep was paused by somebody else, and was woken/,
      seen((watched) => {
        watched.consumers.push({ at: new Date().toISOString(), states: { stock: 'running', asleep: 'running' } })
      }),
    ],
    [
      'the previous image',
      /^2: the service runs 1, not 2/,
      async () => {
        await writeFile(inFolder('current'), '1\n')
        return () => writeFile(inFolder('current'), '2\n')
      },
    ],
    [
      'a stopped service',
      /^2: the service runs stopped/,
      async () => {
        await rm(inFolder('running'))
        return () => writeFile(inFolder('running'), '')
      },
    ],
    [
      'a migration without a backup',
      /^3: migrated at .* without a backup/,
      seen((watched) => {
        watched.backup = [{ at: watched.backup[0]?.at ?? '', is: false }]
      }),
    ],
    [
      'a backup that is gone before the new image serves',
      /^3: no backup at/,
      seen((watched) => {
        const [migrated = ''] = [watched.migrating]
        watched.backup.push({ at: new Date(Date.parse(migrated) + 1).toISOString(), is: false })
      }),
    ],
    [
      'a lost order',
      /^4: order-lost is nowhere/,
      async () => {
        appendFileSync(inFolder('acknowledged.txt'), 'order-lost\tcake\n')
        return async () =>
          writeFile(
            inFolder('acknowledged.txt'),
            (await readFile(inFolder('acknowledged.txt'), 'utf8')).replace('order-lost\tcake\n', ''),
          )
      },
    ],
    [
      'two attempts at work at once',
      /^5: hg:a:1:migrate and hg:a:2:migrate/,
      seen((watched) => {
        watched.together.push('hg:a:1:migrate and hg:a:2:migrate')
      }),
    ],
    [
      'a database that is left over',
      /^6: database .*__r_261120103015_0a1b/,
      async () => {
        await execute(elsewhere(url()), `create database "${name()}__r_261120103015_0a1b"`)
        return () => execute(elsewhere(url()), `drop database "${name()}__r_261120103015_0a1b"`)
      },
    ],
    [
      'a session of ours',
      /^6: backend \d+ of hg:/,
      async () => {
        const session = await connect(url(), 'hg:0a1b2c3d:7:migrate')
        return () => session.end()
      },
    ],
    [
      'a prepared transaction',
      /^6: prepared transaction left/,
      sql(`begin;;create table half (a int);;prepare transaction 'left'`, `rollback prepared 'left'`),
    ],
    [
      'an advisory lock',
      /^6: advisory lock/,
      async () => {
        const session = await connect(url())
        await session.query('select pg_advisory_lock(42)')
        return () => session.end()
      },
    ],
    [
      'an unfinished file',
      /^6: unfinished pre\.partial/,
      async () => {
        await mkdir(inFolder('backups'), { recursive: true })
        await writeFile(inFolder('backups/pre.partial'), '')
        return () => rm(inFolder('backups/pre.partial'))
      },
    ],
    [
      'a process that works where backups go',
      /^6: process \d+: sleep 55/,
      async () => {
        await mkdir(inFolder('backups'), { recursive: true })
        const left = spawn('sleep', ['55'], { cwd: inFolder('backups') })
        await once(left, 'spawn')
        return () => left.kill()
      },
    ],
    [
      'a migration that took effect twice',
      /^7: 0002_note took effect 2 times/,
      sql(
        `insert into audit values ('0002_note')`,
        `delete from audit where ctid = (select max(ctid) from audit where what = '0002_note')`,
      ),
    ],
    [
      'a contract stage that nobody approved',
      /^8: 0004_item ran, and nobody approved/,
      async () => {
        const before = await readFile(inFolder('approvals.txt'), 'utf8')
        await writeFile(inFolder('approvals.txt'), '')
        return () => writeFile(inFolder('approvals.txt'), before)
      },
    ],
    [
      'a contract stage that was approved later',
      /^8: 0004_item ran at .*, before it was approved/,
      async () => {
        const before = await readFile(inFolder('approvals.txt'), 'utf8')
        await writeFile(inFolder('approvals.txt'), `${new Date().toISOString()}\n`)
        return () => writeFile(inFolder('approvals.txt'), before)
      },
    ],
    [
      'the previous image after the contract stage',
      /^9: 1 ran at .*, after the contract stage/,
      seen((watched) => {
        watched.service.push({ at: new Date().toISOString(), tag: '1' })
      }),
    ],
    [
      'the new image before the expand stage',
      /^9: 2 ran at .*, before the expand stage/,
      seen((watched) => {
        watched.service.unshift({ at: '2026-01-01T00:00:00.000Z', tag: '2' })
      }),
    ],
    [
      'an effect before its step',
      /^10: 0002_note took effect at 2025-/,
      sql(
        `update audit set at = at - interval '1 year' where what = '0002_note'`,
        `update audit set at = at + interval '1 year' where what = '0002_note'`,
      ),
    ],
    [
      'a run without a report',
      /^10: there is no report of staging-/,
      async () => {
        const file = join(it.place.folder, 'scene.json')
        const before = await readFile(file, 'utf8')
        await writeFile(file, JSON.stringify({ ...JSON.parse(before), report: ['false'] }))
        return () => writeFile(file, before)
      },
    ],
    [
      'a secret in a log',
      /^11: .*worker\.log/,
      async () => {
        await writeFile(inFolder('worker.log'), `could not connect: ${CANARY}`)
        return () => rm(inFolder('worker.log'))
      },
    ],
    [
      'a secret in an argument',
      /^11: the arguments of psql/,
      seen((watched) => {
        watched.told.push('psql')
      }),
    ],
    ['a secret in a file name', /^11: the name of/, withFile(() => inFolder(`home/${encodeURIComponent(CANARY)}`), '')],
    [
      'a setting of the database',
      /^12: setting of everybody: work_mem/,
      sql(`alter database ":db" set work_mem = '9MB'`, `alter database ":db" reset work_mem`),
    ],
    [
      'a connection limit',
      /^12: database connection limit: was "-1", is "7"/,
      sql('alter database ":db" connection limit 7', 'alter database ":db" connection limit -1'),
    ],
    [
      'a grant on the database',
      /^12: database acl/,
      sql('grant create on database ":db" to pg_monitor', 'revoke create on database ":db" from pg_monitor'),
    ],
    [
      'a workflow that nobody works on',
      /^13: .* still runs/,
      async () => {
        const { temporal, project } = it.place.world
        const lost = await temporal.workflow.start('backup', {
          workflowId: `headgate/${project}/staging/backup`,
          taskQueue: 'nobody',
          args: [],
        })
        await pause(1_500)
        return () => lost.terminate()
      },
    ],
    [
      'a workflow that cannot go on',
      /^13: .* cannot go on/,
      async () => {
        const { temporal, project } = it.place.world
        const lost = await temporal.workflow.start('nothing that a worker knows', {
          workflowId: `headgate/${project}/staging/stuck`,
          taskQueue: `headgate-${project}-staging`,
          args: [],
        })
        const tries = async (): Promise<number> => (await lost.describe()).raw.pendingWorkflowTask?.attempt ?? 0
        await expect.poll(tries, { timeout: 120_000, interval: 200 }).toBeGreaterThan(3)
        return () => lost.terminate()
      },
    ],
    [
      'a row in somebody else’s database',
      /^14: elsewhere: rows of public\.theirs/,
      async () => {
        const { bystander } = await it.watching.scene()
        await execute(bystander?.url ?? '', 'insert into theirs values (2)')
        return () => execute(bystander?.url ?? '', 'delete from theirs where n = 2')
      },
    ],
    [
      'somebody who waited behind us',
      /^14: shop waited behind hg:/,
      seen((watched) => {
        watched.waited.push('shop waited behind hg:a:1:migrate')
      }),
    ],
  ])('turns red for %s', async (_, words, spoil) => {
    expect(await redWhile(it, spoil)).toContainEqual(expect.stringMatching(words))
  })

  test(HEALED, async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'succeeded', violations: [] })
  })

  test('turns red for somebody else’s session that was ended', async () => {
    const { bystander } = await it.watching.scene()
    const client = new Client({ connectionString: elsewhere(url()) })
    await client.connect()
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      bystander?.application,
    ])
    await client.end()
    const red = await redWhile(it, async () => () => {})
    expect(red).toContainEqual(expect.stringMatching(/^14: a session elsewhere/))
  })
})

describe('after a release that was taken back', () => {
  const it = ended(TAKEN_BACK)
  const url = (): string => it.place.world.database.url

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'succeeded', violations: [] })
  })

  test('what the deploy before it had kept does not count as its backup', async () => {
    const watched: Watched = JSON.parse(await readFile(join(it.place.folder, 'watched.json'), 'utf8'))
    expect(watched.backup.map(({ is }) => is).slice(0, 2)).toEqual([false, true])
  })

  test.each<[string, RegExp, (watched: Watched) => void]>([
    [
      'the previous image before the contract stage was taken back',
      /^9: 1 ran at .*, before the contract stage/,
      (watched) => watched.service.unshift({ at: '2026-01-01T00:00:00.000Z', tag: '1' }),
    ],
    [
      'the new image after the expand stage was taken back',
      /^9: 2 ran at .*, after the expand stage/,
      (watched) => watched.service.push({ at: new Date().toISOString(), tag: '2' }),
    ],
    [
      'a way down without a backup',
      /^3: migrated at .* without a backup/,
      (watched) => watched.backup.splice(0, watched.backup.length),
    ],
  ])('turns red for %s', async (_, words, spoil) => {
    const red = await redWhile(it, async () => {
      const file = join(it.place.folder, 'watched.json')
      const before = await readFile(file, 'utf8')
      const watched: Watched = JSON.parse(before)
      spoil(watched)
      await writeFile(file, JSON.stringify(watched))
      return () => writeFile(file, before)
    })
    expect(red).toContainEqual(expect.stringMatching(words))
  })

  test('turns red for a migration that is still in the ledger, and for what it brought', async () => {
    const red = await redWhile(it, async () => {
      await execute(
        url(),
        `insert into headgate_migrations
           select (jsonb_populate_record(first, '{"version": "0002_note"}')).* from headgate_migrations first`,
        'alter table orders add column note text',
      )
      return () =>
        execute(
          url(),
          `delete from headgate_migrations where version = '0002_note'`,
          'alter table orders drop column note',
        )
    })
    expect(red).toContainEqual(expect.stringMatching(/^1: the ledger has 0001_orders, 0002_note, not 0001_orders$/))
    expect(red).toContainEqual(expect.stringMatching(/^1: schema orders/))
  })
})

describe('after a release of which a part was taken back', () => {
  const it = ended(DOWN_FAILS)

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'deferred', violations: [] })
  })

  test('turns red for a version that is gone, which nobody was told', async () => {
    const url = it.place.world.database.url
    const red = await redWhile(it, async () => {
      await execute(
        url,
        `create table away as select * from headgate_migrations where version = '0003_price'`,
        `delete from headgate_migrations where version = '0003_price'`,
      )
      return () => execute(url, 'insert into headgate_migrations select * from away', 'drop table away')
    })
    expect(red).toContainEqual('1: the ledger has 0001_orders, 0002_note, not 0001_orders, 0002_note, 0003_price')
  })
})

describe('after a run that was put back', () => {
  const it = ended(HALF_COMMITTED)
  const url = (): string => it.place.world.database.url
  const spoilt = (...statements: string[]): Promise<string[]> =>
    redWhile(it, async () => {
      await execute(url(), ...statements)
      return () => {}
    })

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'restored', violations: [] })
  })

  test('turns red for a row of before that is another one', async () => {
    expect(await spoilt(`update orders set item = 'half' where key = 'seed-7'`)).toEqual([
      '1: rows of public.orders that were there before are others now',
    ])
    expect(await spoilt(`update orders set item = 'bread' where key = 'seed-7'`)).toEqual([])
  })

  test('turns red for an acknowledged order that has another value', async () => {
    const [key] = it.place.world.acknowledged
    expect(await spoilt(`update orders set item = 'half' where key = '${key}'`)).toContainEqual(
      expect.stringMatching(/^4: .* is half$/),
    )
    await spoilt(`update orders set item = 'cake' where key = '${key}'`)
  })

  test('turns red for what is kept of the failed migration', async () => {
    expect(await spoilt('create table half_done (n int)')).toContainEqual(
      expect.stringMatching(/^1: .*half_done: was absent/),
    )
    await spoilt('drop table half_done')
  })

  test('turns red for an effect without a backup, though nothing of it is left', async () => {
    const file = join(it.place.folder, 'watched.json')
    const before = await readFile(file, 'utf8')
    const red = await redWhile(it, async () => {
      const watched: Watched = JSON.parse(before)
      expect(watched.migrating).toBeDefined()
      await writeFile(file, JSON.stringify({ ...watched, backup: [] }))
      return () => writeFile(file, before)
    })
    expect(red).toContainEqual(expect.stringMatching(/^3: migrated at .* without a backup/))
  })

  test('turns red for an acknowledged order that is in a database only that nobody names', async () => {
    const { name } = it.place.world.database
    const [key] = it.place.world.acknowledged
    const hidden = `${name}__q_261120103015_0a1b`
    await execute(url(), `create table away as select * from orders where key = '${key}'`)
    const red = await redWhile(it, async () => {
      await execute(elsewhere(url()), `create database "${hidden}"`)
      await execute(
        elsewhere(url(), hidden),
        `create table orders as select '${key}'::text as key, 'cake'::text as item`,
      )
      for (const kept of await it.place.world.siblings())
        if (kept !== hidden) await execute(elsewhere(url()), `drop database "${kept}"`)
      await execute(url(), `delete from orders where key = '${key}'`)
      return async () => {
        await execute(url(), 'insert into orders overriding system value select * from away', 'drop table away')
        await execute(elsewhere(url()), `drop database "${hidden}"`)
      }
    })
    expect(red).toContainEqual(`4: ${key} is in ${hidden} only, which nobody names`)
  })
})

describe('after a contract stage that was rejected', () => {
  const it = ended(REJECTED)

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'deferred', violations: [] })
  })

  test('turns red for a schema that is not the one between the stages', async () => {
    const url = it.place.world.database.url
    const red = await redWhile(it, async () => {
      await execute(url, 'alter table orders alter column item drop not null')
      return () => execute(url, 'alter table orders alter column item set not null')
    })
    expect(red).toContainEqual(expect.stringMatching(/^1: schema orders/))
  })
})

describe('after a run that needs a person', () => {
  const it = ended({ ...HALF_COMMITTED, isOpen: true })

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'needs-operator', violations: [] })
  })

  test('turns red for a consumer that was woken behind them', async () => {
    const red = await redWhile(it, async () => {
      it.place.world.consumer.state = 'running'
      return () => {
        it.place.world.consumer.state = 'paused'
      }
    })
    expect(red).toContainEqual('2: consumer stock was paused when a person was asked, and runs')
  })
})

describe('where nothing ran', () => {
  const it = ended()

  test('everything holds', async () => {
    expect(await it.watching.judge()).toEqual({ outcome: 'none', violations: [] })
  })

  test('turns red for anything that is different', async () => {
    const url = it.place.world.database.url
    const red = await redWhile(it, async () => {
      await execute(url, 'create table looked_at (n int)')
      return () => execute(url, 'drop table looked_at')
    })
    expect(red).toContainEqual('15: nothing ran, and something is different')
  })
})
