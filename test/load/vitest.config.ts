import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from '../support/closing-line-reporter.js'

/** Much at once, one file after the other: apart from the tests, because each takes a machine for itself for minutes. */
export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/load/**/*.load.ts'],
    globalSetup: ['test/support/global-postgres.ts', 'test/support/global-temporal.ts'],
    reporters: ['default', new ClosingLineReporter()],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    maxWorkers: 1,
  },
})
