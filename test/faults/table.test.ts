import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { logged } from './log.js'
import { withTable } from './table.js'

test('docs/reliability.md shows what the log of faulted runs has: npx vitest run test/faults/table.test.ts -u', async () => {
  const file = new URL('../../docs/reliability.md', import.meta.url)
  await expect(withTable(await readFile(file, 'utf8'), logged())).toMatchFileSnapshot(file.pathname)
})
