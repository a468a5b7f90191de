import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { approving, begin, type Course, type JournalStep, prepared } from '../support/courses.js'
import type { TestDatabase } from '../support/test-database.js'
import { Driver } from './driver.js'
import { type FaultWorld, faultWorld } from './fault-world.js'
import { FAULTS, type FaultName } from './faults.js'
import type { Servers } from './servers.js'
import { Watching } from './watching.js'

/** When something happens: so long after the step's intent is in the journal, or after its outcome is. */
export interface Strike {
  fault: FaultName
  key: string
  when: 'before' | 'during' | 'after'
  afterMs: number
}

export interface FaultedRun {
  strikes: Strike[]
  /** Whether each of the strikes found its moment. */
  struck: number
  /** The one the run came to, and then what a person who does what is proposed came to. */
  outcomes: string[]
  /** `4: order-17 is lost`. */
  violations: string[]
  steps: JournalStep[]
  ms: number
}

/** How long a step may be waited for, and how long a run may take to come to its end: on a machine that is busy. */
const STEP_MS = 300_000
const SETTLE_MS = 600_000

/** One run of the course with these strikes, in their order, watched and judged by the checker. */
export async function faultedRun(
  course: Course,
  strikes: readonly Strike[],
  servers: Servers,
  target: TestDatabase,
): Promise<FaultedRun> {
  const began = Date.now()
  const place = await faultWorld(course, servers, target)
  const { world } = place
  let driver = new Driver(world)
  let isOver = false
  let struck = 0
  const outcomes: string[] = []
  const violations: string[] = []
  try {
    await place.startWorker()
    await prepared(world, course)
    driver = new Driver(world)
    const watching = await Watching.begin(place.folder)
    const judge = async (): Promise<void> => {
      await writeFile(join(world.folder, 'worker.log'), world.output)
      const { outcome, violations: found } = await watching.judge()
      outcomes.push(outcome)
      violations.push(...found.map(({ invariant, text }) => `${invariant}: ${text}`))
    }
    try {
      await begin(world, course)
      const approved = approving(world, () => isOver, course)
      for (const strike of strikes) {
        if (!(await comes(driver, strike))) break
        await pause(strike.afterMs)
        await FAULTS[strike.fault].strike({ place, servers })
        struck += 1
      }
      if (!(await settled(place, driver))) violations.push(`13: did not come to an end: ${await told(place, driver)}`)
      isOver = true
      await approved
      await world.quiet()
      await judge()
      const open = (await driver.runs()).find(({ state }) => state === 'open')
      if (open) {
        await recovered(place, driver, open.name)
        await judge()
      }
    } finally {
      isOver = true
      await watching.end()
    }
    return { strikes: [...strikes], struck, outcomes, violations, steps: await driver.steps(), ms: Date.now() - began }
  } finally {
    isOver = true
    servers.toPostgres.pass()
    servers.toTemporal.pass()
    await driver.end()
    await place.end()
  }
}

/** Whether the moment came before the run was over. */
async function comes(driver: Driver, { key, when }: Strike): Promise<boolean> {
  let isIn = false
  await driver.until(async () => {
    const step = (await driver.steps()).findLast((one) => one.key === key)
    isIn = step !== undefined && (when !== 'after' || step.state !== 'intended')
    return isIn || (await isEnded(driver))
  }, STEP_MS)
  return isIn
}

const isEnded = async (driver: Driver): Promise<boolean> => {
  const runs = await driver.runs()
  return runs.length > 0 && runs.every(({ outcome }) => outcome !== null)
}

/** Until the journal and Temporal both say that it has ended, or a person is needed. */
async function settled({ world }: FaultWorld, driver: Driver): Promise<boolean> {
  const isClosed = async (): Promise<boolean> => {
    for (const suffix of ['', '/recover']) {
      const handle = world.temporal.workflow.getHandle(`headgate/${world.project}/staging${suffix}`)
      const status = await handle.describe().then(
        ({ status: { name } }) => name,
        (error: Error) => (error.name === 'WorkflowNotFoundError' ? 'NONE' : 'UNKNOWN'),
      )
      if (status === 'RUNNING' || status === 'UNKNOWN') return false
    }
    return true
  }
  return driver.until(async () => {
    if ((await isEnded(driver)) && (await isClosed())) return true
    await pause(200)
    return false
  }, SETTLE_MS)
}

/** What a person does who follows what is proposed. */
async function recovered({ world }: FaultWorld, driver: Driver, run: string): Promise<void> {
  const proposed = await driver.proposed(run)
  const choice = proposed === undefined || ['ask', 'resume'].includes(proposed) ? 'accept' : proposed
  await world.ending(await world.start('recover', { recover: { run, choice } }))
}

async function told({ world }: FaultWorld, driver: Driver): Promise<string> {
  const state = await world.handle.query('state').catch((error: Error) => error.message)
  return JSON.stringify({
    runs: await driver.runs(),
    steps: (await driver.steps()).slice(-3),
    state,
    output: world.output.slice(-1_000),
  })
}
