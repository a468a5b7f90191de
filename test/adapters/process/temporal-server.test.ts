import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder, findTemporal } from '../../../src/adapters/process/provision.js'
import {
  startTemporal,
  type TemporalServer,
  type TemporalServerOptions,
} from '../../../src/adapters/process/temporal-server.js'
import { knownFailure } from '../../../src/domain/failures.js'

let folder: string
let servers: TemporalServer[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-test-'))
})

afterEach(async () => {
  for (const server of servers) await server.kill()
  servers = []
  await rm(folder, { recursive: true, force: true })
})

async function start(options: Partial<TemporalServerOptions> = {}): Promise<TemporalServer> {
  const executable = await findTemporal(cacheFolder(), () => {})
  const server = await startTemporal({ executable, logFile: join(folder, 'temporal.log'), headless: true, ...options })
  servers.push(server)
  return server
}

async function withClient<T>({ address }: TemporalServer, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 5_000 })
  try {
    return await use(new Client({ connection }))
  } finally {
    await connection.close()
  }
}

const startRun = (client: Client, workflowId: string) =>
  client.workflow.start('nobody', { workflowId, taskQueue: 'nowhere' })

test('a client can start a run as soon as the server is said to be up', async () => {
  const server = await start()
  expect(server.uiUrl).toBeUndefined()
  await withClient(server, async (client) => {
    await startRun(client, 'first')
    expect((await client.workflow.getHandle('first').describe()).status.name).toBe('RUNNING')
  })
})

test('two servers run beside each other', async () => {
  const [one, other] = await Promise.all([start(), start({ logFile: join(folder, 'other.log') })])
  expect(one.address).not.toBe(other.address)
  await withClient(one, (client) => startRun(client, 'here'))
  await expect(withClient(other, (client) => client.workflow.getHandle('here').describe())).rejects.toThrow(/not found/)
})

test('a run survives the kill of a server that has a file, at the same address', async () => {
  const server = await start({ databaseFile: join(folder, 'temporal.db') })
  const { address, pid } = server
  await withClient(server, (client) => startRun(client, 'durable'))

  await server.kill()
  await server.restart()

  expect(server.pid).not.toBe(pid)
  expect(server.address).toBe(address)
  const status = await withClient(server, async (client) => client.workflow.getHandle('durable').describe())
  expect(status.status.name).toBe('RUNNING')
})

test('a stopped server is gone, may be stopped again, and leaves its log', async () => {
  const server = await start()
  await server.stop()
  await server.stop()
  expect(() => process.kill(server.pid, 0)).toThrow(/ESRCH/)
  expect(await readFile(join(folder, 'temporal.log'), 'utf8')).toContain('Stopping server')
})

test('the user interface answers where the server says it is', async () => {
  const server = await start({ headless: false })
  const answer = await fetch(server.uiUrl ?? '')
  expect(answer.status).toBe(200)
  expect(await answer.text()).toContain('<html')
})

test('a port that somebody else listens on is an error, even were they a Temporal server', async () => {
  const other = createServer()
  const port = await new Promise<number>((resolve) => {
    other.listen(0, '127.0.0.1', () => {
      const address = other.address()
      resolve(typeof address === 'object' && address ? address.port : 0)
    })
  })
  const error = await start({ port }).catch((thrown: unknown) => thrown)
  other.close()
  expect(knownFailure(error)?.code).toBe('GuardFailed')
  expect(knownFailure(error)?.message).toContain(String(port))
})

test('a program that is not there is an error that names it', async () => {
  const error = await start({ executable: join(folder, 'missing') }).catch((thrown: unknown) => thrown)
  expect(knownFailure(error)?.code).toBe('ToolMissing')
  expect(knownFailure(error)?.message).toContain(join(folder, 'missing'))
})
