import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './test/support/closing-line-reporter.js'

export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-postgres.ts', 'test/support/global-temporal.ts'],
    reporters: ['default', new ClosingLineReporter()],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    // Most of a run's time is waiting.
    maxWorkers: 2,
  },
})
