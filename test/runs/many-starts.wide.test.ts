import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

const STARTS = 500
/** Names under which the same database is deployed, each by a workflow ID of its own: Temporal refuses none of them. */
const NAMES = 10

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

test('of five hundred starts on one database one wins, the others are told, and nothing is done twice', async () => {
  const names = Array.from({ length: NAMES }, (_, n) => `name-${n}`)
  const environments: Record<string, unknown> = {}
  world = await World.create({
    migrations: { '0002_note.sql': 'alter table orders add column note text; select pg_sleep(5)' },
    environments,
  })
  for (const name of names) environments[name] = { url: world.database.url }
  await world.configure({})
  await world.startWorker()

  const start = (environment: string): Promise<string> =>
    world.temporal.workflow
      .start('deploy', {
        workflowId: `headgate/${world.project}/${environment}`,
        taskQueue: `headgate-${world.project}-${environment}`,
        args: [{ project: world.project, environment, tag: '2', requester: { by: 'ana' } }],
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
      })
      .then(
        () => 'started',
        (error) => {
          if (error instanceof WorkflowExecutionAlreadyStartedError) return 'refused'
          throw error
        },
      )
  const starts = await Promise.all(Array.from({ length: STARTS }, (_, n) => start(`name-${n % NAMES}`)))
  expect(starts.filter((answer) => answer === 'started')).toHaveLength(NAMES)

  const endings = await Promise.all(
    names.map((name) => world.ending(world.temporal.workflow.getHandle(`headgate/${world.project}/${name}`))),
  )
  const winners = endings.filter(({ outcome, reason }) => outcome === 'succeeded' && reason !== 'nothing to do')
  expect(winners).toHaveLength(1)
  // Who comes when it is over finds nothing to do.
  for (const ending of endings)
    if (!winners.includes(ending) && ending.reason !== 'nothing to do')
      expect(ending).toMatchObject({ outcome: 'aborted', exit: 4, code: 'E133' })
  const migrating = await world.journal(`select distinct run from {s}.steps where step = 'migrate'`)
  expect(migrating).toHaveLength(1)
  expect(await world.rows(`select version from headgate_migrations where version = '0002_note'`)).toHaveLength(1)
  await world.quiet()
  expect(await world.lost()).toEqual([])
})
