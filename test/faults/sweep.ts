import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  DOWN_FAILS,
  HALF_COMMITTED,
  type JournalStep,
  OPEN_GATE,
  REJECTED,
  SMOKE_FAILS,
  TAKEN_BACK,
  TWO_STAGES,
} from '../support/courses.js'
import { type References, referencesOf } from './fault-world.js'
import { type FaultCourse, type FaultedRun, faultedRun, type Strike } from './faulted-run.js'
import type { FaultName } from './faults.js'
import { log, logged } from './log.js'
import { type Servers, startServers } from './servers.js'

const TERMINATED: Strike = { fault: 'terminated', key: '1 migrate', when: 'after', afterMs: 0 }

export const COURSES: Record<string, FaultCourse> = {
  'two stages': TWO_STAGES,
  'half committed, put back': HALF_COMMITTED,
  'half committed, put back from a dump': { ...HALF_COMMITTED, backup: 'dump' },
  'smoke fails, rolled back': SMOKE_FAILS,
  'contract rejected': REJECTED,
  'open gate, second migration fails': OPEN_GATE,
  'taken back': TAKEN_BACK,
  'second way down fails, put back': DOWN_FAILS,
  'half committed, terminated, then recovered': { ...HALF_COMMITTED, felledBy: TERMINATED },
  'open gate, terminated, then recovered': { ...OPEN_GATE, felledBy: TERMINATED },
}

/** Runs of this file, one after the other, each logged. */
export function onServers(): (course: string, strikes: readonly Strike[], seed?: number) => Promise<FaultedRun> {
  let servers: Servers
  const references = new Map<string, References>()
  beforeAll(async () => {
    servers = await startServers()
  })
  afterAll(() => servers.end())
  return async (name, strikes, seed) => {
    const course = COURSES[name]
    if (!course) throw new Error(`no course ${name}`)
    const reference = references.get(name) ?? (await referencesOf(course))
    references.set(name, reference)
    const run = await faultedRun(course, strikes, servers, reference)
    if (run.struck > 0) log(name, run, seed)
    if (run.violations.length > 0) console.log(`${name}: ${described(strikes)}: ${run.violations.join('\n  ')}`)
    return run
  }
}

export const described = (strikes: readonly Strike[]): string =>
  strikes.map(({ fault, key, when, afterMs }) => `${fault} ${when} ${key} + ${Math.round(afterMs)} ms`).join(', then ')

/** The fault at every step of every course: of those that fail, from the step that does. `FAULTS_RESUME`: where it was not yet. */
export function sweep(fault: FaultName, moments: readonly Strike['when'][]): void {
  const run = onServers()
  test.each(Object.keys(COURSES))(`${fault} at every step: %s`, async (course) => {
    const undisturbed = await run(course, [])
    expect(undisturbed.violations).toEqual([])
    const points = from(undisturbed.steps).flatMap(({ key, ms }) =>
      moments.map((when): Strike => ({ fault, key, when, afterMs: when === 'during' ? ms / 2 : 0 })),
    )
    const wrong: string[] = []
    const missed: string[] = []
    for (const strike of process.env.FAULTS_RESUME ? points.filter((point) => !isLogged(course, point)) : points) {
      const { violations, struck } = await run(course, [strike])
      wrong.push(...violations.map((text) => `${described([strike])}: ${text}`))
      if (struck === 0) missed.push(described([strike]))
    }
    console.log(`${course}: ${fault} at ${points.length} points, ${missed.length} missed, ${wrong.length} wrong`)
    expect(wrong).toEqual([])
    expect(missed).toEqual([])
  })
}

/** Alone, at this moment of this step, and nothing was wrong. */
const isLogged = (course: string, { fault, key, when }: Strike): boolean =>
  logged().some(
    ({ course: its, strikes: [strike, ...more], violations }) =>
      its === course &&
      violations.length === 0 &&
      more.length === 0 &&
      strike?.fault === fault &&
      strike.key === key &&
      strike.when === when,
  )

function from(steps: readonly JournalStep[]): JournalStep[] {
  const failed = steps.findIndex(({ state }) => state === 'failed')
  return [...new Map(steps.slice(Math.max(0, failed)).map((step) => [step.key, step])).values()]
}
