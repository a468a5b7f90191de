import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cacheFolder, findTemporal } from '../../src/adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../../src/adapters/process/temporal-server.js'
import { follow, type RunEvent } from '../../src/client/follow.js'
import { bundleOf } from '../support/bundle.js'
import { noopActivities } from '../support/noop-activities.js'

let folder: string
let server: TemporalServer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-away-'))
  const executable = await findTemporal(cacheFolder(), () => {})
  const databaseFile = join(folder, 'temporal.db')
  server = await startTemporal({ executable, headless: true, databaseFile, logFile: join(folder, 'temporal.log') })
})
afterAll(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

test('a Temporal that is killed and comes back is told of, and the run is followed to its end', async () => {
  const connection = await Connection.connect({ address: server.address })
  const client = new Client({ connection })
  const handle = await client.workflow.start('deploy', {
    taskQueue: 'away',
    workflowId: 'headgate/shop/away',
    args: [{ project: 'shop', environment: 'staging', requester: { by: 'ana' } }],
  })
  const engine = { client, address: server.address, namespace: 'default', close: () => connection.close() }
  const events: RunEvent[] = []
  let worked: Promise<unknown> | undefined
  for await (const event of follow(engine, handle, handle.firstExecutionRunId, new AbortController().signal)) {
    events.push(event)
    if (event.event !== 'away' || worked) continue
    if (event.who === 'worker') await server.kill()
    else {
      await server.restart()
      worked = work(() => handle.result())
    }
  }
  await worked
  await connection.close()
  expect(events.slice(0, 2)).toEqual([
    { event: 'away', who: 'worker' },
    { event: 'away', who: 'Temporal' },
  ])
  expect(events.at(-1)).toMatchObject({ event: 'end', outcome: 'succeeded' })
})

async function work(until: () => Promise<unknown>): Promise<void> {
  const connection = await NativeConnection.connect({ address: server.address })
  const { activities } = noopActivities({ summary: { stages: [] } })
  const worker = await Worker.create({ connection, workflowBundle: await bundleOf(), taskQueue: 'away', activities })
  await worker.runUntil(until)
  await connection.close()
}
