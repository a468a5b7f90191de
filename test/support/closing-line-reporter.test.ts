import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

// Inside of the repository, where vitest is found.
mkdirSync('.test-run', { recursive: true })
const folder = mkdtempSync(resolve('.test-run', 'reporter-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const reporter = resolve('test/support/closing-line-reporter.ts')
writeFileSync(
  join(folder, 'vitest.config.ts'),
  `import { ClosingLineReporter } from ${JSON.stringify(reporter)}
   export default { test: { reporters: ['default', new ClosingLineReporter()] } }`,
)

interface Ran {
  lastLine: string | undefined
  exitCode: number | null
}

function runVitest(tests: string, ...options: string[]): Ran {
  const { lines, exitCode } = linesOf(tests, ...options)
  return { lastLine: lines.at(-1), exitCode }
}

function linesOf(tests: string, ...options: string[]): { lines: string[]; exitCode: number | null } {
  writeFileSync(join(folder, 'one.test.ts'), `import { expect, test } from 'vitest'\n${tests}`)
  const args = [resolve('node_modules/vitest/vitest.mjs'), 'run', '--root', folder, ...options]
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { PATH: process.env.PATH } })
  return { lines: stdout.trimEnd().split('\n'), exitCode: status }
}

const passes = "test('passes', () => {})\n"

test('a run that passes ends with the counts', () => {
  expect(runVitest(passes)).toEqual({ lastLine: '1 passed, 0 failed', exitCode: 0 })
})

test('a test that fails is counted and fails the run', () => {
  expect(runVitest(`${passes} test('fails', () => expect(1).toBe(2))`)).toEqual({
    lastLine: '1 passed, 1 failed',
    exitCode: 1,
  })
})

test.each([
  ['skipped', "test.skip('later', () => {})"],
  ['left to do', "test.todo('later')"],
  ['skipped by itself', "test('later', (context) => context.skip())"],
])('a test that is %s counts as failed and fails the run', (_, later) => {
  expect(runVitest(passes + later)).toEqual({ lastLine: '1 passed, 1 failed', exitCode: 1 })
})

test('a file that cannot be loaded counts as failed', () => {
  expect(runVitest("throw new Error('broken')")).toEqual({ lastLine: '0 passed, 1 failed', exitCode: 1 })
})

test('a rejection that no test waited for counts as failed', () => {
  expect(runVitest("test('leaves', () => void Promise.reject(new Error('late')))")).toEqual({
    lastLine: '1 passed, 1 failed',
    exitCode: 1,
  })
})

test('a test that passes when it is tried again is counted as passed, and named', () => {
  const tests = "let tries = 0\ntest('passes late', () => { tries += 1; expect(tries).toBe(2) })"
  const { lines, exitCode } = linesOf(tests, '--retry=1')
  expect({
    named: /^passed on its second try: .* > passes late$/.test(lines.at(-2) ?? ''),
    last: lines.at(-1),
    exitCode,
  }).toEqual({
    named: true,
    last: '1 passed, 0 failed',
    exitCode: 0,
  })
})

test('tests that were not asked for by name are not counted', () => {
  expect(runVitest(`${passes} test('other', () => {})`, '-t', 'passes')).toEqual({
    lastLine: '1 passed, 0 failed',
    exitCode: 0,
  })
})
