import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from '../support/closing-line-reporter.js'

/** Each kind against the real thing that it talks to. */
export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    include: ['test/real/**/*.real.ts'],
    globalSetup: ['test/support/global-postgres.ts', 'test/support/global-temporal.ts', 'test/real/global-docker.ts'],
    reporters: ['default', new ClosingLineReporter()],
    retry: process.env.CI ? 1 : 0,
    testTimeout: 300_000,
    hookTimeout: 600_000,
    // They share an engine, and each looks whether it left anything there.
    maxWorkers: 1,
  },
})
