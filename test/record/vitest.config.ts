import { defineConfig } from 'vitest/config'

/** Writes test/histories anew: npx vitest run --config test/record/vitest.config.ts. Not a part of the suite. */
export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/record/histories.ts'],
    globalSetup: ['test/support/global-temporal.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
