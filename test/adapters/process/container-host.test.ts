import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerHost } from '../../../src/adapters/process/container-host.js'
import { ContainerConfiguration } from '../../../src/domain/configuration-migrator.js'
import { knownFailure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hg-engine-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A client of an engine that answers as `cases` say, one `case` of a shell for each subcommand. */
function engine(cases: string): string {
  const path = join(folder, 'engine')
  writeFileSync(path, `#!/bin/sh\ncase "$1" in\n${cases}\n*) exit 1;;\nesac\n`)
  chmodSync(path, 0o755)
  return path
}
const AWAY = `echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1`
const host = (cases: string) =>
  containerHost(
    { image: 'shop:{tag}', container: ContainerConfiguration.parse({ engine: [engine(cases)] }) },
    join(folder, 'sources'),
  )
const REQUEST = { name: 'tool', command: ['tool'] }
const failed = async (work: Promise<unknown>) => knownFailure(await work.catch((error: unknown) => error))

describe('an engine that is away', () => {
  it('is worth another try, and is no missing image', async () => {
    expect(await failed(host(`*) ${AWAY};;`).image('2', 'present'))).toMatchObject({ code: 'EngineUnreachable' })
  })

  it('when the tool has failed leaves what that said, and the container recorded for the next attempt', async () => {
    const cases = [
      "image) echo 'sha256:11';;",
      "info) echo 'engine-1';;",
      "run) echo 'it broke' >&2; exit 3;;",
      `rm) ${AWAY};;`,
    ]
    const fence = new OpenFence()
    const result = await host(cases.join('\n')).runFenced('2', REQUEST, fence)
    expect(result).toMatchObject({ exitCode: 3, stderr: 'it broke\n' })
    expect(fence.containers).toMatchObject([{ engineId: 'engine-1' }])
  })
})

it('a container that is known to be gone is forgotten', async () => {
  const cases = ["image) echo 'sha256:11';;", "info) echo 'engine-1';;", 'run) exit 3;;', 'rm) exit 0;;']
  const fence = new OpenFence()
  await host(cases.join('\n')).runFenced('2', REQUEST, fence)
  expect(fence.containers).toEqual([])
})

it('an image that no registry knows either is missing', async () => {
  const cases = "image) echo 'No such image: shop:2' >&2; exit 1;;\npull) echo 'manifest unknown' >&2; exit 1;;"
  expect(await failed(host(cases).image('2', 'present'))).toMatchObject({
    code: 'ToolMissing',
    message: 'there is no image shop:2: manifest unknown',
  })
})

it('without a tag it is not known which image is meant', async () => {
  expect(await failed(host('').image('', 'present'))).toMatchObject({ code: 'PlanInvalid' })
})

describe('a folder that is copied out of an image', () => {
  /** The engine copies what stands here. */
  const copied = (from: string) =>
    host(`image) echo '';;\ncreate) exit 0;;\nrm) exit 0;;\ncp) cp -a '${from}' "$3";;`).folder('2', '/app')
  const inside = (name: string): string => join(folder, 'image', name)

  it.each([
    ['is a link itself', () => symlinkSync('/etc', inside('app'))],
    [
      'has a link that leads out of it',
      () => {
        mkdirSync(inside('app'))
        symlinkSync('/etc/passwd', inside('app/1_x.sql'))
      },
    ],
    [
      'has a link that leads out of it by way of another one',
      () => {
        mkdirSync(inside('app/a/b'), { recursive: true })
        writeFileSync(join(folder, 'secret.sql'), 'select 1')
        symlinkSync('../../..', inside('app/a/b/up'))
        symlinkSync('a/b/up/../../secret.sql', inside('app/1_x.sql'))
      },
    ],
    ['is a file', () => writeFileSync(inside('app'), '')],
  ])('and %s is refused', async (_, make) => {
    mkdirSync(join(folder, 'image'))
    make()
    expect(await failed(copied(inside('app')))).toMatchObject({ code: 'PlanInvalid' })
  })

  it('may have links of its own, and folders that nobody may write to', async () => {
    mkdirSync(inside('app/deep'), { recursive: true })
    writeFileSync(inside('app/deep/1_a.sql'), 'select 1')
    symlinkSync('deep/1_a.sql', inside('app/1_b.sql'))
    chmodSync(inside('app/deep'), 0o555)
    expect(readdirSync(await copied(inside('app'))).sort()).toEqual(['1_b.sql', 'deep'])
  })
})
