import { expect, test } from 'vitest'
import { unreadFindings } from '../../../src/adapters/lint/unread.js'
import type { Migration, Unread } from '../../../src/domain/migration.js'

const file = (version: string, unread?: Unread): Migration => ({
  ...{ version, name: version, phase: 'expand', transactional: true, checksum: version, hasDown: true },
  ...(unread && { unread }),
})
const FILES = [
  file('1', { text: 'AttributeError: of long ago', line: 3, isCertain: false }),
  file('2', { text: `NameError: name 'Text' is not defined`, line: 9, isCertain: true }),
  file('3', { text: `AttributeError: 'NoneType' object has no attribute 'fetchall'`, line: 7, isCertain: false }),
  file('4'),
]
const PLANNED = FILES.slice(1).map(({ unread: _, ...migration }) => migration)

test('a planned migration that would fail stops the run, one that cannot be read is told, with why and where', () => {
  expect(unreadFindings(PLANNED, FILES, [])).toEqual([
    {
      ...{ rule: 'missing-name', level: 'stop', version: '2', line: 9 },
      text: `it fails: NameError: name 'Text' is not defined`,
    },
    {
      ...{ rule: 'not-read', level: 'warn', version: '3', line: 7 },
      text: `its SQL cannot be had: AttributeError: 'NoneType' object has no attribute 'fetchall'`,
    },
  ])
})

test('both are waived with a reason', () => {
  const waivers = [
    { rule: 'missing-name' as const, version: '2', reason: 'the server has it' },
    { rule: 'not-read' as const, reason: 'read by two people' },
  ]
  expect(unreadFindings(PLANNED, FILES, waivers)).toMatchObject([
    { level: 'note', waived: 'the server has it' },
    { level: 'note', waived: 'read by two people' },
  ])
})
