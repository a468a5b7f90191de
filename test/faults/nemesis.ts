import { expect, test } from 'vitest'
import type { JournalStep } from '../support/courses.js'
import type { Strike } from './faulted-run.js'
import { FAULTS, type FaultName } from './faults.js'
import { COURSES, described, onServers } from './sweep.js'

const MOST = 4
const MOMENTS = ['before', 'during', 'after'] as const

/** `FAULTS_COUNT` runs from `FAULTS_SEED` on, or for `FAULTS_MINUTES`; every second one, beginning with `first`. */
export function nemesis(first: 0 | 1): void {
  const run = onServers()
  const seed = Number(process.env.FAULTS_SEED ?? Date.now() % 1_000_000)
  const count = Number(process.env.FAULTS_COUNT ?? 50)
  const until = Date.now() + Number(process.env.FAULTS_MINUTES ?? Number.POSITIVE_INFINITY) * 60_000
  const known = new Map<string, JournalStep[]>()
  test(`faults at random, from seed ${seed + first}`, async () => {
    const wrong: string[] = []
    for (let at = seed + first; at < seed + count && Date.now() < until; at += 2) {
      const random = randomFrom(at)
      const course = one(random, Object.keys(COURSES))
      const steps = known.get(course) ?? (await run(course, [])).steps
      known.set(course, steps)
      const strikes = strikesOf(random, steps)
      const { violations } = await run(course, strikes, at)
      wrong.push(...violations.map((text) => `seed ${at}, ${course}: ${described(strikes)}: ${text}`))
    }
    expect(wrong).toEqual([])
  })
}

/** One to four, in the order of the steps they are for. */
function strikesOf(random: () => number, steps: readonly JournalStep[]): Strike[] {
  const count = 1 + Math.floor(random() * MOST)
  return Array.from({ length: count }, () => Math.floor(random() * steps.length))
    .sort((a, b) => a - b)
    .flatMap((index) => {
      const step = steps[index]
      if (!step) return []
      const fault = one(random, Object.keys(FAULTS) as FaultName[])
      return { fault, key: step.key, when: one(random, MOMENTS), afterMs: random() * step.ms }
    })
}

function one<Item>(random: () => number, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new Error('nothing to choose from')
  return item
}

/** Numbers from 0 to 1, always the same ones for a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
