import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, Connection } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Journal } from '../../src/adapters/journal/journal.js'
import { prepareJournal } from '../../src/adapters/journal/prepare.js'
import { openRun } from '../../src/adapters/journal/runs.js'
import { listEvents } from '../../src/adapters/journal/steps.js'
import { recoverWorkflowId, workflowId } from '../../src/domain/names.js'
import { type Place, reconcile } from '../../src/worker/reconciler.js'
import { planOfShop } from '../cli/plan-of-shop.js'
import { FILE_MARK } from '../support/file-mark.js'
import { temporalAddress } from '../support/ground.js'
import { setClockBack } from '../support/slow-clock.js'
import { DIGEST } from '../support/summary.js'
import { createDatabase } from '../support/test-database.js'

const PROJECT = `r${FILE_MARK}`

let client: Client
let journal: Journal
let ended: AbortController
let reconciled: Promise<void>
let environment: string
let environments = 0
beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: await temporalAddress() }) })
})
beforeEach(async () => {
  const { target } = await createDatabase()
  await prepareJournal(target, 'journal')
  journal = new Journal(target, 'journal')
  ended = new AbortController()
  environment = `e${environments++}`
})
afterEach(async () => {
  ended.abort()
  await reconciled
  await journal.close()
  await recovery()
    .terminate('the test is over')
    .catch(() => {})
})
afterAll(() => client.connection.close())

const recovery = (): ReturnType<Client['workflow']['getHandle']> =>
  client.workflow.getHandle(recoverWorkflowId(PROJECT, environment))

/** A run in the journal whose workflow Temporal does not know. */
const openLost = (): Promise<string> =>
  openRun(journal, {
    ...{ name: `${environment}-20261120-103015`, kind: 'deploy', lane: 'main', digest: DIGEST, engine: 'of the tests' },
    ...{ workflowId: workflowId(PROJECT, environment), workflowRunId: 'unknown' },
    ...{ carrier: workflowId(PROJECT, environment), requester: { by: 'ana', verified: false } },
    ...{ startedAt: '2026-11-20T10:30:15.000Z', plan: planOfShop({ project: PROJECT, environment }) },
  })

function beginToReconcile(places: readonly Place[], tell: (text: string) => Promise<void>): void {
  const options = { client, engine: 'of the tests', project: PROJECT, everyMs: 50, environments: places }
  reconciled = reconcile({ ...options, onLine: () => {}, tell: (_, text) => tell(text) }, ended.signal)
}

/** A place that counts how often it was looked at. */
function counted(): { place: Place; looks: () => number } {
  let looks = 0
  const resolved: Place['resolved'] = async () => {
    looks += 1
    return { journal, pauseLimit: 0 }
  }
  return { place: { environment, queue: PROJECT, resolved, failed: () => {} }, looks: () => looks }
}

async function hasBegun(): Promise<void> {
  const isThere = (): Promise<boolean> =>
    recovery()
      .describe()
      .then(
        () => true,
        () => false,
      )
  while (!(await isThere())) await pause(20)
}

/** How often something is in the journal of the run. */
const count = async (run: string, type: string): Promise<number> =>
  (await listEvents(journal, run)).filter((event) => event.type === type).length

test('a run that nobody carries is looked at while whoever is told of it hangs, and is told of once', async () => {
  const run = await openLost()
  const told: string[] = []
  const answer = new AbortController()
  const answered = once(answer.signal, 'abort')
  const { place, looks } = counted()
  beginToReconcile([place], async (text) => {
    told.push(text)
    await answered
  })
  try {
    await hasBegun()
    const before = looks()
    while (looks() < before + 5) await pause(20)
    expect([told.length, await count(run, 'gone')]).toEqual([1, 0])
  } finally {
    answer.abort()
  }
  while ((await count(run, 'gone')) === 0) await pause(20)
  const before = looks()
  while (looks() < before + 5) await pause(20)
  expect(told).toEqual(['Temporal does not know its workflow any more'])
  expect([await count(run, 'gone'), await count(run, 'recovering')]).toEqual([1, 1])
})

test('an environment whose journal does not answer delays no other', async () => {
  await openLost()
  const giveUp = new AbortController()
  const silent = once(giveUp.signal, 'abort').then(() => Promise.reject(new Error('no answer')))
  const silence: Place = { environment: 'silent', queue: PROJECT, resolved: () => silent, failed: () => {} }
  beginToReconcile([silence, counted().place], async () => {})
  try {
    await hasBegun()
  } finally {
    giveUp.abort()
  }
})

test('a recovery that ended before it took the run over is begun anew by a worker whose clock is an hour slow', async () => {
  const run = await openLost()
  const setClockRight = setClockBack(3_600_000)
  try {
    beginToReconcile([counted().place], async () => {})
    while ((await count(run, 'recovering')) === 0) await pause(20)
    await recovery().terminate('by somebody')
    while ((await count(run, 'recovering')) === 1) await pause(20)
  } finally {
    setClockRight()
  }
}, 60_000)
