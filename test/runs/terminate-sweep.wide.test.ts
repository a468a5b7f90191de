import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Ending } from '../../src/domain/run.js'
import { approving, type Course, HALF_COMMITTED, journalOf, TWO_STAGES, worldOf } from '../support/courses.js'
import type { World } from '../support/world.js'

const WORLDS_AT_ONCE = 2
const WITHIN_MS = 1_800_000

interface Settled {
  name: string
  state: 'open' | 'ended'
  outcome: string
}

/** Waits until the run has ended, or a person is needed. */
async function settled(world: World, name: string): Promise<Settled> {
  for (;;) {
    const [row] = await world.journal<{ state: 'open' | 'ended'; outcome: string | null }>(
      `select state, outcome from {s}.runs where name = '${name}'`,
    )
    if (row?.outcome) return { name, state: row.state, outcome: row.outcome }
    await pause(100)
  }
}

/** What a person does who follows what is proposed. */
async function recovered(world: World, name: string): Promise<Ending> {
  const [proposed] = await world.journal<{ choice: string }>(
    `select body ->> 'do' as choice from {s}.events where run = '${name}' and type = 'recovery' order by id desc limit 1`,
  )
  // What found that out may still be closing.
  const found = world.temporal.workflow.getHandle(`headgate/${world.project}/staging/recover`)
  await found.result().catch(() => {})
  return world.ending(await world.start('recover', { recover: { run: name, choice: proposed?.choice } }))
}

/** Terminates the workflow as soon as the step's intent is in the journal, and sees the run to its end. */
async function terminatedIn(course: Course, key: string): Promise<{ ways: string[]; wrong: string[] }> {
  const world = await worldOf(course)
  let isOver = false
  try {
    await world.startWorker()
    const journal = await journalOf(world)
    await world.start()
    const approved = approving(world, () => isOver)
    while (!(await journal.steps()).some((step) => step.key === key)) await pause(5)
    await world.handle.terminate('a person pressed the wrong button')
    isOver = true
    await approved
    const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
    const found = await settled(world, run?.name ?? '')
    const ending = found.state === 'open' ? await recovered(world, found.name) : undefined
    await world.quiet()
    await journal.end()
    const ways = [found.state === 'open' ? `by a person: ${ending?.outcome}` : `by itself: ${found.outcome}`]
    return { ways, wrong: await judged(world, ending) }
  } finally {
    isOver = true
    await world.end()
  }
}

/** What is not as it has to be, looked at from outside: the image that serves is one that the schema carries. */
async function judged(world: World, ending: Ending | undefined): Promise<string[]> {
  const versions = (await world.rows<{ version: string }>('select version from headgate_migrations')).length
  const audit = await world.rows<{ what: string; n: number }>(
    'select what, count(*)::int as n from audit group by what',
  )
  const { left } = await world.leftOvers()
  const lost = await world.lost([
    world.database.name,
    ...(await world.siblings()).filter((name) => name.includes('__q_')),
  ])
  const open = await world.journal(`select name from {s}.runs where state = 'open'`)
  const serves = await world.serving()
  return [
    ...(ending === undefined || ending.exit === 0 ? [] : [`the recovery ended ${ending.exit}: ${ending.reason}`]),
    ...(world.consumer.state === 'running' ? [] : ['the consumer is paused']),
    ...(serves === '1' || serves === '2' ? [] : [`the service is ${serves}`]),
    ...(versions === 4 && serves === '1' ? ['the previous image runs after the contract stage'] : []),
    ...audit.filter(({ n }) => n !== 1).map(({ what, n }) => `${what} took effect ${n} times`),
    ...lost.map((key) => `${key} is lost`),
    ...left,
    ...open.map(() => 'a run is open'),
  ]
}

async function sweep(course: Course): Promise<void> {
  const world = await worldOf(course)
  await world.startWorker()
  const journal = await journalOf(world)
  await world.start()
  let isOver = false
  const approved = approving(world, () => isOver)
  await world.ending()
  isOver = true
  await approved
  const keys = [...new Set((await journal.steps()).map(({ key }) => key))]
  await journal.end()
  await world.end()
  const left = [...keys]
  const seen: string[] = []
  const wrong: string[] = []
  const one = async (): Promise<void> => {
    for (let key = left.shift(); key; key = left.shift()) {
      const at = key
      const result = await terminatedIn(course, at).catch((error: Error) => ({ ways: [], wrong: [error.message] }))
      seen.push(...result.ways.map((way) => `${at}: ${way}`))
      wrong.push(...result.wrong.map((text) => `terminated in ${at}: ${text}`))
    }
  }
  await Promise.all(Array.from({ length: WORLDS_AT_ONCE }, one))
  console.log(seen.sort().join('\n'))
  expect(wrong).toEqual([])
  expect(seen).toHaveLength(keys.length)
}

test(
  'terminated in any step of a release of two stages, the run ends, nothing is lost, and nobody stays paused',
  () => sweep(TWO_STAGES),
  WITHIN_MS,
)

test(
  'terminated in any step of a half-committed migration and of its way back: the same',
  () => sweep(HALF_COMMITTED),
  WITHIN_MS,
)
