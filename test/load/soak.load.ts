import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { residentMegabytes } from '../support/process-memory.js'
import { World } from '../support/world.js'

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10)
/** Rounds after which nothing new is loaded any more. */
const WARM_AFTER = 5

interface Sample {
  minutes: number
  megabytes: number
  descriptors: number
  threads: number
  /** Of the worker, in PostgreSQL, between two runs. */
  sessions: number
}

let world: World
afterEach(() => world?.end())

test(`one worker for ${MINUTES} minutes of runs: nothing grows, nothing is left`, async () => {
  world = await World.create({ migrations: {}, writesLate: true })
  const worker = await world.startWorker()
  const pid = worker.pid ?? 0
  const begun = performance.now()
  const minutes = (): number => (performance.now() - begun) / 60_000
  const samples: Sample[] = []
  const applied: Record<string, string> = {}
  for (let round = 1; minutes() < MINUTES; round++) {
    // Two that succeed, then one that commits half of itself and is put back.
    const isGood = round % 3 !== 0
    const name = `${String(round + 1).padStart(6, '0')}_round.sql`
    const sql = isGood
      ? `create table round_${round} (id int)`
      : `-- headgate:no-transaction\nupdate orders set item = 'half';\ncreate unique index concurrently on orders (item)`
    const tag = `round-${round}`
    await world.release(tag, { ...applied, [name]: sql })
    if (isGood) applied[name] = sql
    await world.start('deploy', { tag })
    const { outcome, reason } = await world.ending()
    expect(outcome, reason).toBe(isGood ? 'succeeded' : 'restored')
    samples.push({ minutes: minutes(), ...look(pid), sessions: await sessions() })
    if (round % 10 === 0) console.log(told(round, samples.at(-1)))
  }
  console.log(told(samples.length, samples.at(-1)))

  const warm = samples.slice(WARM_AFTER)
  expect(warm.length, 'too few rounds to tell a slope').toBeGreaterThan(8)
  const [first, last] = [warm.slice(0, warm.length / 4), warm.slice(-warm.length / 4)]
  const perHour = slope(warm.slice(warm.length / 2), 'megabytes') * 60
  console.log(
    `memory in the second half: ${perHour.toFixed(1)} MB an hour; ${JSON.stringify({ first: middle(first), last: middle(last) })}`,
  )
  expect(middle(last).descriptors).toBeLessThanOrEqual(middle(first).descriptors + 5)
  expect(middle(last).threads).toBeLessThanOrEqual(middle(first).threads + 2)
  expect(middle(last).sessions).toBeLessThanOrEqual(middle(first).sessions + 2)
  expect(middle(last).megabytes).toBeLessThan(middle(first).megabytes * 1.3)
  expect((await world.leftOvers()).left).toEqual([])

  async function sessions(): Promise<number> {
    const [row] = await world.journal<{ count: number }>(
      `select count(*)::int as count from pg_stat_activity where application_name like 'hg:%' or application_name like 'headgate%'`,
    )
    return row?.count ?? 0
  }
})

function look(pid: number): Pick<Sample, 'megabytes' | 'descriptors' | 'threads'> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    megabytes: residentMegabytes(pid),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: Number(/Threads:\s+(\d+)/.exec(status)?.[1]),
  }
}

const told = (round: number, sample: Sample | undefined): string =>
  `round ${round}: ${Object.entries(sample ?? {})
    .map(([name, value]) => `${name} ${Math.round(value)}`)
    .join(', ')}`

function middle(samples: readonly Sample[]): Omit<Sample, 'minutes'> {
  const of = (key: keyof Sample): number =>
    samples.map((sample) => sample[key]).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0
  return {
    ...{ megabytes: of('megabytes'), descriptors: of('descriptors') },
    ...{ threads: of('threads'), sessions: of('sessions') },
  }
}

/** Least squares, by the minute. */
function slope(samples: readonly Sample[], key: keyof Sample): number {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const x = mean(samples.map(({ minutes }) => minutes))
  const y = mean(samples.map((sample) => sample[key]))
  const over = samples.reduce((sum, sample) => sum + (sample.minutes - x) * (sample[key] - y), 0)
  return over / samples.reduce((sum, { minutes }) => sum + (minutes - x) ** 2, 0)
}
