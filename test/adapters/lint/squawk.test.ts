import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SquawkOptions, squawkFindings } from '../../../src/adapters/lint/squawk.js'
import type { PlannedMigration } from '../../../src/domain/plan.js'
import { SQUAWK } from '../../support/alembic-release.js'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hg-squawk-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const migration = (version: string, sql: string, transactional = true): PlannedMigration => ({
  ...{ version, name: version, phase: 'expand', transactional, checksum: 'c', hasDown: true, sql },
})
const INT = migration('2', '-- why\nalter table orders add column qty int;\ncreate index i on orders (qty)')
const CHAR = migration('3', 'alter table orders add column code char(4)', false)
const found = async (migrations: PlannedMigration[], more: Partial<SquawkOptions> = {}): Promise<string[]> =>
  (
    await squawkFindings(
      migrations,
      { command: [SQUAWK], directory, serverMajor: 15, waivers: [], ...more },
      new AbortController().signal,
    )
  ).map(({ version, line, level, text, waived }) => `${version}:${line} ${waived ?? level} ${text.split(':')[0]}`)

test('what squawk finds beside our own rules is told with its place; what ours look at with sizes in view is not told twice', async () => {
  expect(await found([INT, CHAR])).toEqual(['2:2 warn prefer-bigint-over-int', '3:1 warn ban-char-field'])
  expect(await found([])).toEqual([])
})

test('its own configuration and our waivers are heard', async () => {
  writeFileSync(join(directory, '.squawk.toml'), 'excluded_rules = ["prefer-bigint-over-int"]\n')
  expect(await found([INT, CHAR])).toEqual(['3:1 warn ban-char-field'])
  expect(await found([CHAR], { waivers: [{ rule: 'squawk', reason: 'of the bank' }] })).toEqual([
    '3:1 of the bank ban-char-field',
  ])
  rmSync(join(directory, '.squawk.toml'))
})

test('where it is not installed nothing is said; where it fails, that', async () => {
  expect(await found([INT], { command: ['no-such-squawk'] })).toEqual([])
  expect(await found([INT], { command: ['node', '-e', 'console.log("{")', '--'] })).toEqual([
    '2:1 note squawk could not be asked',
  ])
  expect(await found([INT], { command: ['node', '-e', 'process.exit(3)', '--'] })).toEqual([
    '2:1 note squawk could not be asked',
  ])
})
