import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createDumpEngine } from '../../src/adapters/backup/dump.js'
import { toolsHostOf } from '../../src/adapters/backup/tools-host.js'
import type { Target } from '../../src/adapters/postgres/target.js'
import { createStore } from '../../src/adapters/store/index.js'
import { ToolsConfiguration } from '../../src/domain/configuration.js'
import { backupEngineContract } from '../adapters/backup/contract.js'
import { dumpsIn } from '../adapters/backup/dump-folder.js'
import { failureOf } from '../support/failure-of.js'
import { freePort } from '../support/http-server.js'
import { startPostgres } from '../support/postgres-server.js'
import { serverTarget } from '../support/test-database.js'
import { untilNoContainers } from './containers.js'
import { BASE_IMAGE } from './docker-engine.js'

const root = await mkdtemp(join(tmpdir(), 'headgate-tools-'))
afterAll(() => rm(root, { recursive: true, force: true }))
afterEach(untilNoContainers)
const signal = new AbortController().signal

const engineOf = (tools: object, target: Target, kept = root) =>
  createDumpEngine({
    ...{ target, controlTarget: serverTarget(), store: createStore(`file://${kept}`), jobs: 2 },
    host: toolsHostOf(ToolsConfiguration.parse(tools), root),
  })

async function composeFile(): Promise<string> {
  const file = join(root, 'compose.yaml')
  // YAML takes JSON. Its own database is somebody else's: nothing is started but the tools.
  await writeFile(file, JSON.stringify({ services: { postgres: { image: BASE_IMAGE, network_mode: 'host' } } }))
  return file
}

for (const [name, tools] of [
  ['image', async () => ({ image: BASE_IMAGE })],
  ['service', async () => ({ service: 'postgres', container: { files: [await composeFile()], directory: root } })],
] as const)
  backupEngineContract(`dump-${name}`, async () => {
    const configuration = await tools()
    const kept = join(root, name)
    return { engine: (target) => engineOf(configuration, target, kept), ...dumpsIn(kept) }
  })

describe('tools in a container', () => {
  test('are told with their versions, and reach the server that the worker does', async () => {
    const told = await engineOf({ image: BASE_IMAGE }, serverTarget()).describe?.(signal)
    expect(told).toEqual([expect.stringMatching(/^pg_dump \d+/), expect.stringMatching(/^pg_restore \d+/)])
  })

  test('that reach another server, or none, by the address in their container are refused', async () => {
    const other = await startPostgres()
    try {
      const there = (port: number) => engineOf({ image: BASE_IMAGE, container: { port } }, serverTarget())
      expect(await failureOf(there(other.port).describe?.(signal))).toMatchObject({
        code: 'DatabaseWrong',
        message: expect.stringContaining(`another database at 127.0.0.1:${other.port}`),
      })
      const nobody = await failureOf(there(await freePort()).describe?.(signal))
      expect(nobody).toMatchObject({ code: 'DatabaseUnreachable' })
      expect(nobody?.detail.hint).toContain('tools.container.host')
    } finally {
      await other.stop()
    }
  })

  test('in an image that is not there are told of', async () => {
    expect(await failureOf(engineOf({ image: 'nobody/has-this' }, serverTarget()).describe?.(signal))).toMatchObject({
      code: 'ToolMissing',
      message: expect.stringContaining('nobody/has-this'),
    })
  })
})
