import { configDefaults, defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './test/support/closing-line-reporter.js'
import { HAS_SQLX } from './test/support/sqlx-release.js'

/** What `npm test` leaves to `npm run test:wide`: whole runs at their edges, and the slow half of what has a quick one. */
const WIDE = 'test/**/*.wide.test.ts'
const isWide = process.env.HEADGATE_TESTS === 'wide'

export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: [isWide ? WIDE : 'test/**/*.test.ts'],
    exclude: [
      ...configDefaults.exclude,
      ...(isWide ? [] : [WIDE]),
      // The set-up has said that it is not here.
      ...(HAS_SQLX ? [] : ['test/**/sqlx.test.ts', 'test/**/sqlx.wide.test.ts']),
    ],
    globalSetup: ['test/support/global-postgres.ts', 'test/support/global-temporal.ts'],
    reporters: ['default', new ClosingLineReporter()],
    // On a busy machine of CI; what needed it is named at the end.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    // Most of a run's time is waiting.
    maxWorkers: 2,
  },
})
