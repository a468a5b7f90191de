import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from '../support/closing-line-reporter.js'

/** Runs that something happens to: hours of them, apart from the tests. Each file has servers of its own. */
export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/faults/**/*.faults.ts'],
    globalSetup: ['test/faults/global-checker.ts'],
    reporters: ['default', new ClosingLineReporter()],
    testTimeout: 3_600_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    // Of `courses.ts`: enough to be hit.
    env: { SLOW_MS: '200' },
  },
})
