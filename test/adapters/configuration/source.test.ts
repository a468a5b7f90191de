import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfigurationFile } from '../../../src/adapters/configuration/index.js'
import { messageOf } from '../../../src/domain/failures.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-source-'))
})
afterAll(() => rm(folder, { recursive: true }))

const refusal = (path: string): Promise<string> =>
  readConfigurationFile(path).then(
    () => 'read',
    (error: unknown) => messageOf(error).replace(folder, '.'),
  )

describe('readConfigurationFile', () => {
  it('reads a file with a byte order mark and Windows line ends', async () => {
    const file = join(folder, 'bom.yaml')
    await writeFile(file, '\ufeffname: shop\r\nenvironments: {}\r\n')
    const { root, folder: found } = await readConfigurationFile(file)
    expect(root.value.get('name')).toMatchObject({ value: 'shop', at: { line: 1, column: 7 } })
    expect(found).toBe(folder)
  })

  it('refuses what is missing, a folder, and a named pipe, without waiting for its writer', async () => {
    spawnSync('mkfifo', [join(folder, 'pipe')])
    expect(await refusal(join(folder, 'none.yaml'))).toBe('./none.yaml: no such file')
    expect(await refusal(folder)).toBe('.: not a file')
    expect(await refusal(join(folder, 'pipe'))).toBe('./pipe: not a file')
  })

  it('refuses more than 1 MiB', async () => {
    const file = join(folder, 'large.yaml')
    await writeFile(file, `# ${'x'.repeat(1024 * 1024)}`)
    expect(await refusal(file)).toBe('./large.yaml: larger than 1 MiB')
  })

  it('refuses what is not UTF-8', async () => {
    const file = join(folder, 'latin1.yaml')
    await writeFile(file, Buffer.from('name: gr\xf6\xdfe\n', 'latin1'))
    expect(await refusal(file)).toBe('./latin1.yaml: not UTF-8 text')
  })
})
