import { expect, it } from 'vitest'
import { FAILURES } from '../../src/domain/failures.js'
import { failuresReference } from '../../src/domain/failures-reference.js'

it('docs/failures.md tells what the table says; `npx vitest run test/domain/failures-reference.test.ts -u` writes it anew', async () => {
  await expect(failuresReference()).toMatchFileSnapshot('../../docs/failures.md')
})

it('every failure stands on the page once, under a code that no other has', () => {
  const page = failuresReference()
  const codes = Object.values(FAILURES).map(({ code }) => code)
  expect(new Set(codes).size).toBe(codes.length)
  for (const [name, { code }] of Object.entries(FAILURES))
    expect(page.split(`| ${code} | \`${name}\` |`)).toHaveLength(2)
})
