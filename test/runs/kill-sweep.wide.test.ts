import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Ending } from '../../src/domain/run.js'
import {
  approving,
  type Course,
  HALF_COMMITTED,
  type JournalStep,
  journalOf,
  SMOKE_FAILS,
  TWO_STAGES,
  worldOf,
} from '../support/courses.js'
import { leftOvers } from '../checker/left-overs.js'
import { setOpen } from '../support/test-database.js'
import type { World } from '../support/world.js'

const WORLDS_AT_ONCE = 2
const WITHIN_MS = 1_800_000

/** When the worker dies: so long after the step's intent is in the journal. */
interface Hit {
  key: string
  afterMs: number
  /** Done before the next one is started. */
  meanwhile?: (world: World) => Promise<void>
}

interface Result {
  steps: JournalStep[]
  wrong: string[]
}

/** One run of the course, whose worker is killed at each of the hits, and another one started. */
async function run(course: Course, hits: readonly Hit[] = []): Promise<Result> {
  const world = await worldOf(course)
  const orphans: Process[] = []
  let isOver = false
  try {
    let worker = await world.startWorker()
    const journal = await journalOf(world)
    await world.start()
    const approved = approving(world, () => isOver)
    for (const { key, afterMs, meanwhile } of hits) {
      while (!(await journal.steps()).some((step) => step.key === key)) await pause(5)
      await pause(afterMs)
      orphans.push(...(await kill(worker)))
      await meanwhile?.(world)
      worker = await world.startWorker()
    }
    const ending = await world.ending()
    isOver = true
    await approved
    await world.quiet()
    const steps = await journal.steps()
    await journal.end()
    const wrong = await judged(world, course, ending, orphans).catch((error: Error) => [
      `${error.message}; ended ${ending.outcome}: ${ending.reason}; ${ending.database}`,
    ])
    return { steps, wrong }
  } finally {
    isOver = true
    await world.end()
  }
}

/** Kills the worker and nobody else; returns the processes it had started. */
async function kill(worker: ChildProcess): Promise<Process[]> {
  const gone = once(worker, 'exit')
  worker.kill('SIGSTOP')
  const family = descendantsOf(worker.pid ?? 0)
  worker.kill('SIGKILL')
  await gone
  return family
}

/** What is not as it has to be, looked at from outside. */
async function judged(world: World, course: Course, ending: Ending, orphans: readonly Process[]): Promise<string[]> {
  const effects = (await world.rows<{ what: string }>('select what from audit order by 1')).map(({ what }) => what)
  const live = world.workers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  const { left } = await leftOvers({
    url: world.database.url,
    folders: [world.folder],
    workers: live.flatMap(({ pid }) => pid ?? []),
  })
  const seen = {
    outcome: ending.outcome,
    serves: await world.serving(),
    consumer: world.consumer.state,
    effects: effects.join(),
    lost: (await world.lost()).join(),
    left: left.join('; '),
    orphans: orphans
      .filter(isAlive)
      .map(({ pid }) => pid)
      .join(),
    open: (await world.journal<{ name: string }>(`select name from {s}.runs where state = 'open'`)).length,
  }
  const wanted = {
    outcome: course.outcome,
    serves: course.serves,
    consumer: 'running',
    effects: course.effects.join(),
    lost: '',
    left: '',
    orphans: '',
    open: 0,
  }
  const differ = (Object.keys(wanted) as (keyof typeof wanted)[]).filter((key) => seen[key] !== wanted[key])
  return differ
    .map((key) => `${key} is ${JSON.stringify(seen[key])}, not ${JSON.stringify(wanted[key])}`)
    .concat(differ.length > 0 ? [`reason: ${ending.reason}; ${ending.database}`] : [])
}

/** Undisturbed; its journal says which steps there are. */
async function undisturbed(course: Course): Promise<JournalStep[]> {
  const { steps, wrong } = await run(course)
  expect(wrong).toEqual([])
  return steps
}

/** Runs the course once for each list of hits, and requires the same end of all, and that a worker was killed in each of `steps`. */
async function sweep(
  course: Course,
  steps: readonly JournalStep[],
  rounds: readonly (readonly Hit[])[],
): Promise<void> {
  const left = [...rounds]
  const killed = new Set<string>()
  const wrong: string[] = []
  const one = async (): Promise<void> => {
    for (let hits = left.shift(); hits; hits = left.shift()) {
      const result = await run(course, hits).catch((error: Error) => ({ steps: [], wrong: [error.message] }))
      for (const { key, state } of result.steps) if (state === 'intended') killed.add(key)
      const told = hits.map(({ key, afterMs }) => `${key} + ${Math.round(afterMs)} ms`).join(' and ')
      wrong.push(...result.wrong.map((text) => `killed in ${told}: ${text}`))
    }
  }
  await Promise.all(Array.from({ length: WORLDS_AT_ONCE }, one))
  if (steps.length === 0) return expect(wrong).toEqual([])
  const missed = steps.map(({ key }) => key).filter((key) => !killed.has(key))
  console.log(
    `killed in ${killed.size} of ${steps.length} steps; the journal's steps minus the killed ones: [${missed}]`,
  )
  expect(wrong).toEqual([])
  expect(missed).toEqual([])
}

async function clonesOf(world: World): Promise<string[]> {
  const clones = await world.clones()
  expect(clones).toHaveLength(1)
  return clones
}

/** As an attempt leaves them that dies before it can close them. */
async function leaveClonesOpen(world: World): Promise<void> {
  for (const clone of await clonesOf(world)) await setOpen(clone, true)
}

async function changeClones(world: World): Promise<void> {
  for (const clone of await clonesOf(world)) {
    await setOpen(clone, true)
    await world.rows(`insert into audit values ('somebody')`, clone)
    await setOpen(clone, false)
  }
}

const atOnce = ({ key }: JournalStep): Hit[] => [{ key, afterMs: 0 }]
const sometime = ({ key, ms }: JournalStep): Hit => ({ key, afterMs: Math.random() * ms * 0.8 })

const stepsOfStage = (stage: string): string[] =>
  [
    'pause-consumers',
    'quiesce-writers',
    'backup',
    'migrate',
    'verify',
    'restart-services',
    'smoke',
    'resume-consumers',
  ].map((step) => `${stage} ${step}`)

/** What the journal has after the step that failed. */
function wayBack(steps: readonly JournalStep[]): JournalStep[] {
  const failed = steps.findIndex(({ state }) => state === 'failed')
  expect(failed).toBeGreaterThan(0)
  return steps.slice(failed + 1)
}

test(
  'the worker killed in any step of a release of two stages: the next one finishes it, with one effect and nothing lost',
  async () => {
    const steps = await undisturbed(TWO_STAGES)
    expect(steps.map(({ key }) => key)).toEqual(expect.arrayContaining(['1', '2'].flatMap(stepsOfStage)))
    await sweep(TWO_STAGES, steps, steps.map(atOnce))
  },
  WITHIN_MS,
)

test(
  'the worker killed again and again, somewhere within the steps of both stages: the same end',
  async () => {
    const steps = await undisturbed(TWO_STAGES)
    // Four times in each run: far enough apart that one attempt's end is not the next one's.
    const apart = Math.ceil(steps.length / 4)
    const rounds = steps
      .slice(0, apart)
      .map((_, first) => steps.filter((_, index) => index % apart === first).map(sometime))
    await sweep(TWO_STAGES, [], rounds)
  },
  WITHIN_MS,
)

test(
  'the worker killed in any step of the way back of a half-committed migration: restored all the same',
  async () => {
    const steps = wayBack(await undisturbed(HALF_COMMITTED))
    expect(steps.map(({ key }) => key)).toEqual(['1 put-back', '1 release-writers', '1 resume-consumers'])
    const within = [...steps, ...steps.slice(0, 1), ...steps.slice(0, 1)].map((step) => [sometime(step)])
    await sweep(HALF_COMMITTED, steps, [...steps.map(atOnce), ...within])
  },
  WITHIN_MS,
)

test(
  'the worker killed in the moment in which it lets itself into the clone: restored all the same',
  async () => {
    const course: Course = { ...HALF_COMMITTED, backup: 'clone' }
    await sweep(course, [], [[{ key: '1 put-back', afterMs: 0, meanwhile: leaveClonesOpen }]])
  },
  WITHIN_MS,
)

test(
  'the clone changed by somebody before it is needed: restored from the dump of the same moment',
  async () => {
    await sweep(HALF_COMMITTED, [], [[{ key: '1 put-back', afterMs: 0, meanwhile: changeClones }]])
  },
  WITHIN_MS,
)

test(
  'the worker killed in any step of the way back to the previous image: rolled back all the same',
  async () => {
    const steps = wayBack(await undisturbed(SMOKE_FAILS))
    expect(steps.map(({ key }) => key)).toContain('1 redeploy-previous')
    await sweep(SMOKE_FAILS, steps, [...steps.map(atOnce), ...steps.map((step) => [sometime(step)])])
  },
  WITHIN_MS,
)

interface Process {
  pid: number
  startTime: string
}

function descendantsOf(parent: number): Process[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? [])
    .filter(({ ppid }) => ppid === parent)
  return children.flatMap((child) => [child, ...descendantsOf(child.pid)])
}

const isAlive = ({ pid, startTime }: Process): boolean => {
  const now = statOf(pid)
  return now?.startTime === startTime && now.state !== 'Z'
}

function statOf(pid: number): (Process & { ppid: number; state: string }) | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, state: fields[0] ?? '', ppid: Number(fields[1]), startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}
