import { expect, test } from 'vitest'
import { callEach, toolRun } from '../../../src/adapters/migrator/tool-failure.js'
import { knownFailure } from '../../../src/domain/failures.js'

const result = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: '', log: `${stdout}.log` })

test('the evidence of a call that failed begins with the ends of what those before it said, and is as long as one alone', async () => {
  const said = [
    result('applied 1'),
    result(`${'x'.repeat(9_000)} applied 2`),
    result(`${'y'.repeat(9_000)} ERROR: 3`, 1),
  ]
  const error: unknown = await callEach(said, async (one) => toolRun('tool up', one)).catch((failed: unknown) => failed)
  const { code, message, detail } = knownFailure(error) ?? {}
  expect([code, message?.slice(0, 17)]).toEqual(['MigrationFailed', 'tool up (exit 1):'])
  expect(detail?.evidence).toMatch(/x applied 2\n.*y ERROR: 3$/s)
  expect(detail?.evidence?.length).toBeLessThanOrEqual(8_192)
  const short: unknown = await callEach([result('applied 1'), result('ERROR: 2', 1)], async (one) =>
    toolRun('tool up', one),
  ).catch((failed: unknown) => failed)
  expect(knownFailure(short)?.detail.evidence).toBe('applied 1\nERROR: 2')
})

test('the last call counts, and without any there was nothing to do', async () => {
  expect(await callEach([result('a'), result('b')], async (one) => toolRun('tool up', one))).toMatchObject({
    tail: 'b',
  })
  expect(await callEach([], async () => toolRun('tool up', result('a')))).toMatchObject({ tail: 'nothing to do' })
})
