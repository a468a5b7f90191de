import { afterEach, expect, test } from 'vitest'
import { residentMegabytes } from '../support/process-memory.js'
import { createDatabase } from '../support/test-database.js'
import { World } from '../support/world.js'

const ENVIRONMENTS = Number(process.env.ENVIRONMENTS ?? 200)

/** One for all of them, as `queue:` in docs/configuration.md advises. */
const QUEUE = 'all-shops'

let world: World
afterEach(() => world?.end())

test(`${ENVIRONMENTS} environments deployed at once by one worker: each succeeds, and no attempt is lost`, async () => {
  const names = Array.from({ length: ENVIRONMENTS }, (_, n) => `shop-${n}`)
  const environments: Record<string, unknown> = {}
  world = await World.create({
    migrations: { '0002_note.sql': 'create table note (text text)' },
    writesLate: true,
    withoutService: true,
    environments,
    environment: { queue: QUEUE },
  })
  for (const name of names) {
    const { url } = await createDatabase()
    environments[name] = { url, queue: QUEUE }
  }
  await world.configure({ heartbeat: '10s', quiesce: 'none', consumers: {} })
  const before = performance.now()
  const worker = await world.startWorker()
  const readyMs = performance.now() - before
  const memory = (): number => residentMegabytes(worker.pid ?? 0)
  console.log(`ready after ${Math.round(readyMs)} ms, ${Math.round(memory())} MB`)

  const started = performance.now()
  const handles = await Promise.all(
    names.map((environment) =>
      world.temporal.workflow.start('deploy', {
        workflowId: `headgate/${world.project}/${environment}`,
        taskQueue: QUEUE,
        args: [{ project: world.project, environment, tag: '2', requester: { by: 'ana' } }],
      }),
    ),
  )
  const timer = setInterval(
    () => console.log(`${Math.round((performance.now() - started) / 1000)} s, ${Math.round(memory())} MB`),
    10_000,
  )
  const endings = await Promise.all(handles.map((handle) => world.ending(handle)))
  clearInterval(timer)
  console.log(`all ended after ${Math.round(performance.now() - started)} ms, ${Math.round(memory())} MB`)
  expect(endings.filter(({ outcome }) => outcome !== 'succeeded')).toEqual([])

  const lost: string[] = []
  for (const handle of handles) {
    const { events } = await handle.fetchHistory()
    for (const event of events ?? []) {
      const again = event.activityTaskStartedEventAttributes?.lastFailure?.message
      if (again || event.activityTaskTimedOutEventAttributes) lost.push(`${handle.workflowId}: ${again ?? 'timed out'}`)
    }
  }
  expect(lost).toEqual([])
})
