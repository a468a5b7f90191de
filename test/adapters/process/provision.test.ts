import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder, installOnce } from '../../../src/adapters/process/install-once.js'
import { firstUsable } from '../../../src/adapters/process/postgres-folders.js'
import { findPostgres, findTemporal } from '../../../src/adapters/process/provision.js'
import { downloadTemporal } from '../../../src/adapters/process/temporal-download.js'
import { knownFailure } from '../../../src/domain/failures.js'

let folder: string
const path = process.env.PATH

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-test-'))
})

afterEach(async () => {
  process.env.PATH = path
  await rm(folder, { recursive: true, force: true })
})

/** A folder with programs that print what they are told to. */
async function programs(name: string, answers: Record<string, string>): Promise<string> {
  const bin = join(folder, name)
  await mkdir(bin, { recursive: true })
  for (const [program, answer] of Object.entries(answers)) {
    await writeFile(join(bin, program), `#!/bin/sh\n${answer}\n`)
    await chmod(join(bin, program), 0o755)
  }
  return bin
}

test('the cache is outside of any project, where the person wants it', () => {
  expect(cacheFolder({ HEADGATE_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
  expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/headgate')
  expect(cacheFolder({ XDG_CACHE_HOME: 'relative' })).toMatch(/^\/.*\.cache\/headgate$/)
})

test('of several who install the same at once, each gets the whole of it and one copy is kept', async () => {
  const target = join(folder, 'tool')
  const install = (n: number) => async (into: string) => {
    await writeFile(join(into, 'first'), String(n))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await writeFile(join(into, 'second'), String(n))
  }
  await Promise.all([1, 2, 3].map((n) => installOnce(target, install(n))))
  expect(await readFile(join(target, 'first'))).toEqual(await readFile(join(target, 'second')))
  expect(await readdir(folder)).toHaveLength(2)
})

test('an installation that fails leaves nothing, and the next one starts anew', async () => {
  const target = join(folder, 'tool')
  const half = async (into: string) => {
    await writeFile(join(into, 'half'), '')
    throw new Error('no network')
  }
  await expect(installOnce(target, half)).rejects.toThrow('no network')
  expect(await readdir(folder)).toEqual([])
  await installOnce(target, (into) => writeFile(join(into, 'whole'), ''))
  expect(await readdir(target)).toEqual(['whole'])
})

test('a temporal on the path is taken', async () => {
  const bin = await programs('bin', { temporal: 'exit 0' })
  process.env.PATH = `${bin}:${path}`
  expect(await findTemporal(folder, () => {})).toBe(join(bin, 'temporal'))
})

test('without a dev server on the path, a download or Go, the error says what to install', async () => {
  const bin = await programs('bin', { temporal: 'exit 1', go: 'echo no modules >&2; exit 7' })
  process.env.PATH = `${bin}:/usr/bin:/bin`
  const said: string[] = []
  const found = findTemporal(folder, (doing) => said.push(doing), 'http://127.0.0.1:1')
  const error = await found.catch((thrown: unknown) => thrown)
  expect(said).toEqual(['downloading temporal v1.5.1', expect.stringContaining('building it with Go')])
  expect(knownFailure(error)?.message).toContain('go install')
  expect(knownFailure(error)?.detail.evidence).toContain('no modules')
})

test('a temporal built with Go is built once', async () => {
  const build = 'echo "#!/bin/sh" > "$GOBIN/temporal"; echo built >> "$GOBIN/../builds"; chmod +x "$GOBIN/temporal"'
  const bin = await programs('bin', { temporal: 'exit 1', go: build })
  process.env.PATH = `${bin}:/usr/bin:/bin`
  const first = await findTemporal(folder, () => {}, 'http://127.0.0.1:1')
  expect(await findTemporal(folder, () => {}, 'http://127.0.0.1:1')).toBe(first)
  expect(await readFile(join(folder, 'builds'), 'utf8')).toBe('built\n')
  execFileSync(first)
})

test('an archive of the download service ends up as a program', async () => {
  const bin = await programs('packed', { temporal: 'echo it runs' })
  execFileSync('tar', ['-czf', join(folder, 'temporal.tar.gz'), '-C', bin, 'temporal'])
  const asked: string[] = []
  const service = createServer(async (request, response) => {
    asked.push(request.url ?? '')
    const address = `http://${request.headers.host}`
    const answer = { archiveUrl: `${address}/archive`, fileToExtract: 'temporal' }
    response.end(request.url === '/archive' ? await readFile(join(folder, 'temporal.tar.gz')) : JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  const { port } = service.address() as AddressInfo
  const into = join(folder, 'unpacked')
  await mkdir(into)

  await downloadTemporal(folder, 'v1.5.1', into, `http://127.0.0.1:${port}`)
  service.close()

  expect(execFileSync(join(into, 'temporal'), { encoding: 'utf8' })).toBe('it runs\n')
  expect(asked[0]).toMatch(/^\/cli\/v1\.5\.1\?platform=(linux|darwin)&arch=(amd64|arm64)&format=tar\.gz$/)
  expect(await readdir(into)).toEqual(['temporal'])
})

test('PostgreSQL is taken from the first folder that has the whole server, new enough and able to run', async () => {
  const all = (version: string) => ({ initdb: '', pg_dump: '', pg_restore: '', postgres: version })
  const client = await programs('client', { pg_dump: '', pg_restore: '' })
  const old = await programs('old', all('echo "postgres (PostgreSQL) 13.9"'))
  const broken = await programs('broken', all('echo missing library >&2; exit 127'))
  const good = await programs('good', all('echo "postgres (PostgreSQL) 16.4 (Debian 16.4-1)"'))
  expect(await firstUsable([client, old, broken])).toBeUndefined()
  expect(await firstUsable([client, old, broken, good])).toEqual({ directory: good, version: '16.4' })
})

test('the PostgreSQL of this machine has the programs it is said to have', async () => {
  const { directory, version } = await findPostgres(cacheFolder(), () => {})
  const said = execFileSync(join(directory, 'pg_dump'), ['--version'], { encoding: 'utf8' })
  expect(said).toContain(version)
})
