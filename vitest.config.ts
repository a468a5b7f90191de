import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './test/support/closing-line-reporter.js'
import { HAS_SQLX } from './test/support/sqlx-release.js'

export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    // The set-up has said that it is not here.
    exclude: HAS_SQLX ? [] : ['test/**/sqlx.test.ts'],
    globalSetup: ['test/support/global-postgres.ts', 'test/support/global-temporal.ts'],
    reporters: ['default', new ClosingLineReporter()],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    // Most of a run's time is waiting.
    maxWorkers: 2,
  },
})
