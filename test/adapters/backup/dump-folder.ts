import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../../../src/domain/manifest.js'
import type { EngineUnderTest } from './contract.js'

export async function flipBit(path: string): Promise<void> {
  const content = await readFile(path)
  const middle = content.length >> 1
  content[middle] = (content[middle] ?? 0) ^ 1
  await writeFile(path, content)
}

export const largest = (manifest: Manifest): string =>
  Object.entries(manifest.files).sort(([, a], [, b]) => b.bytes - a.bytes)[0]?.[0] ?? ''

/** What the contract wants to know of the dumps in a store's folder, and does to them. */
export const dumpsIn = (root: string): Pick<EngineUnderTest, 'damage' | 'kept'> => ({
  damage: (manifest) => flipBit(join(root, manifest.location, largest(manifest))),
  kept: async () => {
    const names = await readdir(join(root, 'shop/production')).catch(() => [])
    return {
      finished: names.filter((name) => !name.endsWith('.partial')),
      unfinished: names.filter((name) => name.endsWith('.partial')),
    }
  },
})
