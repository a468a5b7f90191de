import { expect, it } from 'vitest'
import { configurationReference } from '../../src/domain/configuration-reference.js'

it('docs/configuration.md tells what the schema says; `npx vitest run test/domain/configuration-reference.test.ts -u` writes it anew', async () => {
  await expect(configurationReference()).toMatchFileSnapshot('../../docs/configuration.md')
})
