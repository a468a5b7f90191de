import { expect, test } from 'vitest'
import { doctorLines } from '../../src/cli/output-lists.js'

const LINES = [
  { what: 'worker', ok: true, found: 'polls headgate-shop-staging' },
  { what: 'journal', ok: true, found: 'in database headgate' },
  { what: 'rights', ok: true, found: 'postgres may make databases, and shop is its own' },
]

test('where nothing is missing the doctor prints no SQL', () => {
  expect(doctorLines({ host: 'db1', lines: LINES, grants: [] })).toEqual([
    'on db1:',
    '  ok  worker                polls headgate-shop-staging',
    '  ok  journal               in database headgate',
    '  ok  rights                postgres may make databases, and shop is its own',
  ])
})

test('what only narrows what a run can do is told apart from what stands in its way', () => {
  const lines = [
    { what: 'migrations', ok: false, found: 'there are no migrations in migrations' },
    { what: 'backups', ok: false, found: 'no clone: the gate cannot be closed' },
    { what: 'check orders', ok: false, found: 'expected 3, got 2' },
  ]
  expect(doctorLines({ host: 'db1', lines, grants: [] })).toEqual([
    'on db1:',
    '  no  migrations            there are no migrations in migrations',
    '  --  backups               no clone: the gate cannot be closed',
    '  --  check orders          expected 3, got 2',
  ])
})

test('what is missing is told with the SQL that grants it', () => {
  const lines = [{ what: 'rights', ok: false, found: 'role app may not create databases' }]
  expect(doctorLines({ host: 'db1', lines, grants: ['alter role "app" createdb;'] }).slice(2)).toEqual([
    '',
    'What is missing, for a superuser to grant:',
    '  alter role "app" createdb;',
  ])
})
