import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, expect, test } from 'vitest'
import { HALF_COMMITTED, worldOf } from '../support/courses.js'
import type { World } from '../support/world.js'

const WRITES = Number(process.env.WRITES ?? 1_000_000)
const WRITERS = 8
const SQL = `insert into orders (key, item, written_by) values ($1, 'bread', 'load')`

let world: World
afterEach(() => world?.end())

/** How many of a writer's rows were acknowledged; which of the others were written nobody knows. */
interface Writer {
  name: string
  acknowledged: number[]
}

test(`${WRITES} acknowledged writes beside runs that fail: none is missing`, async () => {
  world = await worldOf(HALF_COMMITTED, { writesLate: true })
  await world.startWorker()
  const writers = Array.from({ length: WRITERS }, (_, n): Writer => ({ name: `w${n}`, acknowledged: [] }))
  const total = (): number => writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
  const writing = Promise.all(writers.map((writer) => write(world, writer, () => total() >= WRITES)))

  const outcomes: string[] = []
  while (total() < WRITES) {
    await world.start()
    const { outcome, reason, database } = await world.ending()
    outcomes.push(outcome)
    console.log(`${total()} acknowledged; run ${outcomes.length}: ${outcome}`)
    if (outcome !== 'restored') throw new Error(`${outcome}: ${reason}; ${database}`)
  }
  await writing
  expect(outcomes.length).toBeGreaterThan(1)

  const keys = new Set((await world.rows<{ key: string }>('select key from orders')).map(({ key }) => key))
  const missing = writers.flatMap(({ name, acknowledged }) =>
    acknowledged.filter((n) => !keys.has(`${name}-${n}`)).map((n) => `${name}-${n}`),
  )
  expect(missing).toEqual([])
  expect(await world.rows(`select key from orders where item = 'half' limit 5`)).toEqual([])
})

/** The service's: one row after the other until its connection is cut, then anew as soon as the service runs. */
async function write(world: World, { name, acknowledged }: Writer, isEnough: () => boolean): Promise<void> {
  for (let n = 0; !isEnough(); ) {
    while ((await world.serving()) === undefined) await pause(20)
    const client = new Client({ connectionString: world.database.url, application_name: 'load' })
    client.on('error', () => {})
    try {
      await client.connect()
      for (; !isEnough(); n++) {
        await client.query({ name: 'write', text: SQL, values: [`${name}-${n}`] })
        acknowledged.push(n)
      }
    } catch {
      // Whether that one was written is not known: it is not tried again.
      n += 1
    } finally {
      await client.end().catch(() => {})
    }
  }
}
