import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { withRules } from '../../src/domain/review-reference.js'
import { RULES } from '../../src/domain/review.js'

const PAGE = fileURLToPath(new URL('../../docs/review.md', import.meta.url))

test('docs/review.md tells of every rule; `npx vitest run test/domain/review-reference.test.ts -u` writes it anew', async () => {
  const page = withRules(await readFile(PAGE, 'utf8'))
  await expect(page).toMatchFileSnapshot(PAGE)
  for (const rule of Object.keys(RULES)) expect(page).toContain(`| \`${rule}\` |`)
})
