import type { WorkflowHandle } from '@temporalio/client'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { approving, begin, type Course, type JournalStep, prepared } from '../support/courses.js'
import { Driver } from './driver.js'
import { type FaultWorld, faultWorld, type References } from './fault-world.js'
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

/** `felledBy`: what leaves the run to a person; the strikes are for the recovery then, and its steps are those of the run. */
export type FaultCourse = Course & { felledBy?: Strike }

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
  course: FaultCourse,
  strikes: readonly Strike[],
  servers: Servers,
  reference: References,
): Promise<FaultedRun> {
  const began = Date.now()
  const place = await faultWorld(course, servers, reference)
  const { world } = place
  let driver = new Driver(world)
  let isOver = false
  let struck = 0
  /** How many steps there were before those that the strikes are for. */
  let first = 0
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
    /** How many of them found their moment. */
    const strikeAll = async (all: readonly Strike[], handle: WorkflowHandle): Promise<number> => {
      for (const [index, strike] of all.entries()) {
        if (!(await comes(driver, strike, first, handle))) return index
        await pause(strike.afterMs)
        await FAULTS[strike.fault].strike({ place, servers, handle })
      }
      return all.length
    }
    try {
      await begin(world, course)
      const approved = approving(world, () => isOver, course)
      const onRun = await strikeAll(course.felledBy ? [course.felledBy] : strikes, world.handle)
      if (!course.felledBy) struck = onRun
      if (!(await settled(place, driver))) violations.push(`13: did not come to an end: ${await told(place, driver)}`)
      isOver = true
      await approved
      await world.quiet()
      await judge()
      if (course.felledBy) first = (await driver.steps()).length
      // Once more where that was struck, too.
      for (const which of ['first', 'again']) {
        const open = (await driver.runs()).find(({ state }) => state === 'open')
        if (!open || (which === 'again' && struck === 0)) break
        const recovery = await recovering(place, driver, open.name)
        if (course.felledBy && which === 'first') struck = await strikeAll(strikes, recovery)
        if (!(await settled(place, driver))) violations.push(`13: did not recover: ${await told(place, driver)}`)
        await judge()
        if (!course.felledBy) break
      }
    } finally {
      isOver = true
      await watching.end()
    }
    const steps = (await driver.steps()).slice(first)
    return { strikes: [...strikes], struck, outcomes, violations, steps, ms: Date.now() - began }
  } finally {
    isOver = true
    servers.toPostgres.pass()
    servers.toTemporal.pass()
    await driver.end()
    await place.end()
  }
}

/** Whether the moment came before the workflow was over; `first`: steps before this one do not count. */
async function comes(driver: Driver, { key, when }: Strike, first: number, handle: WorkflowHandle): Promise<boolean> {
  let isIn = false
  await driver.until(async () => {
    const step = (await driver.steps()).slice(first).findLast((one) => one.key === key)
    isIn = step !== undefined && (when !== 'after' || step.state !== 'intended')
    return isIn || (first === 0 ? await isEnded(driver) : await isClosed(handle))
  }, STEP_MS)
  return isIn
}

/** A server that does not answer tells nothing. */
const isClosed = (handle: WorkflowHandle): Promise<boolean> =>
  handle.describe().then(
    ({ status: { name } }) => name !== 'RUNNING',
    (error: Error) => error.name === 'WorkflowNotFoundError',
  )

const isEnded = async (driver: Driver): Promise<boolean> => {
  const runs = await driver.runs()
  return runs.length > 0 && runs.every(({ outcome }) => outcome !== null)
}

/** Until the journal and Temporal both say that it has ended, or a person is needed. */
async function settled({ world }: FaultWorld, driver: Driver): Promise<boolean> {
  const areClosed = async (): Promise<boolean> => {
    for (const suffix of ['', '/recover'])
      if (!(await isClosed(world.temporal.workflow.getHandle(`headgate/${world.project}/staging${suffix}`))))
        return false
    return true
  }
  return driver.until(async () => {
    if ((await isEnded(driver)) && (await areClosed())) return true
    await pause(200)
    return false
  }, SETTLE_MS)
}

/** What a person starts who follows what is proposed. */
async function recovering({ world }: FaultWorld, driver: Driver, run: string): Promise<WorkflowHandle> {
  const proposed = await driver.proposed(run)
  const choice = proposed === undefined || ['ask', 'resume'].includes(proposed) ? 'accept' : proposed
  return world.start('recover', { recover: { run, choice } })
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
