import { Client, Connection } from '@temporalio/client'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../src/client/connection.js'
import { look } from '../../src/client/look.js'
import { failure, knownFailure } from '../../src/domain/failures.js'
import { bundleOf } from '../support/bundle.js'
import { temporalAddress } from '../support/ground.js'

let engine: Engine
let connection: NativeConnection

beforeAll(async () => {
  const address = await temporalAddress()
  const client = new Client({ connection: await Connection.connect({ address }) })
  engine = { client, address, namespace: 'default', close: () => client.connection.close() }
  connection = await NativeConnection.connect({ address })
})
afterAll(async () => {
  await connection?.close()
  await engine?.close()
})

const place = { project: 'looks', environment: 'staging' }
const workerOf = async (activities: object): Promise<Worker> =>
  Worker.create({ connection, workflowBundle: await bundleOf(), taskQueue: 'headgate-looks-staging', activities })

test('a look is answered by the worker, and what it found wrong keeps its code', async () => {
  const worker = await workerOf({
    lookDatabase: async () => ({ database: 'shop', protected: true }),
    lookInfo: async () => {
      throw failure('DatabaseUnreachable', 'nobody answers at 127.0.0.1:1')
    },
  })
  await worker.runUntil(async () => {
    expect(await look(engine, place, { command: 'database' })).toEqual({ database: 'shop', protected: true })
    const error = await look(engine, place, { command: 'info' }).catch((reason: unknown) => reason)
    expect(knownFailure(error)).toMatchObject({ code: 'DatabaseUnreachable', message: 'nobody answers at 127.0.0.1:1' })
  })
})

test('a worker that polled a moment ago and is gone is a missing worker, and the question does not stay open', async () => {
  const worker = await workerOf({})
  await worker.runUntil(async () => {})
  const error = await look(engine, place, { command: 'database' }).catch((reason: unknown) => reason)
  expect(knownFailure(error)).toMatchObject({ code: 'WorkerMissing' })
  const open = engine.client.workflow.list({
    query: 'ExecutionStatus = "Running" AND WorkflowId STARTS_WITH "headgate/looks/"',
  })
  for await (const { workflowId } of open) throw new Error(`${workflowId} is still open`)
})
