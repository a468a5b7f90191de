import { describe, expect, it } from 'vitest'
import { leadingComment, splitStatements } from '../../../src/adapters/postgres/sql-statements.js'
import {
  concurrentIndexOf,
  droppedIndexOf,
  isTransactionControl,
  mustRunAlone,
  waitsQuietly,
} from '../../../src/adapters/postgres/statement-kind.js'

const split = (sql: string): string[] => splitStatements(sql).map((statement) => statement.sql)
const only = (sql: string) => splitStatements(sql)[0] ?? { sql: '', words: '', line: 0 }

describe('a file of statements', () => {
  const cases: [string, string, string[]][] = [
    ['two', 'select 1; select 2;', ['select 1', 'select 2']],
    ['one without a semicolon', 'select 1', ['select 1']],
    ['nothing', ' \n-- only a comment;\n /* ; */ ;;', []],
    ['a text with a semicolon', `select ';'; select 'it''s;'`, [`select ';'`, `select 'it''s;'`]],
    ['a backslash that escapes nothing', `select '\\'; select 2`, [`select '\\'`, 'select 2']],
    ['a backslash that escapes', `select E'\\';'; select 2`, [`select E'\\';'`, 'select 2']],
    ['an identifier that ends in e before a text', `select nice'a\\'; select 2`, [`select nice'a\\'`, 'select 2']],
    ['a quoted name', 'select ";""" from "a;b"; select 2', ['select ";""" from "a;b"', 'select 2']],
    ['a dollar-quoted body', 'do $$ begin; end; $$; select 2', ['do $$ begin; end; $$', 'select 2']],
    ['a tagged body that holds another', 'do $a$ $$ ; $b$ ; $a$; select 2', ['do $a$ $$ ; $b$ ; $a$', 'select 2']],
    ['a dollar in a name', 'select a$b$; select c$b$', ['select a$b$', 'select c$b$']],
    ['a parameter', 'prepare p as select $1; select 2', ['prepare p as select $1', 'select 2']],
    ['a nested comment', 'select /* ; /* ; */ ; */ 1; select 2', ['select /* ; /* ; */ ; */ 1', 'select 2']],
    [
      'a comment at the end of a line',
      `select 1 -- it's; not\n, 2; select 3`,
      [`select 1 -- it's; not\n, 2`, 'select 3'],
    ],
    [
      'a rule with statements in brackets',
      'create rule r as on insert to t do (select 1; select 2); select 3',
      ['create rule r as on insert to t do (select 1; select 2)', 'select 3'],
    ],
    [
      'a body of standard SQL',
      'create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3',
      ['create function f() returns int begin atomic select case when true then 1 end; select 2; end', 'select 3'],
    ],
    ['a transaction of its own', 'begin; select 1; commit', ['begin', 'select 1', 'commit']],
    ['an unclosed text', `select 'a; select 2`, [`select 'a; select 2`]],
    ['an unclosed body', 'do $$ a; b', ['do $$ a; b']],
    ['Windows line ends and letters of all kinds', 'select \'ä;\';\r\nselect "ö;"\r\n', [`select 'ä;'`, 'select "ö;"']],
  ]
  it.each(cases)('is split where it ends: %s', (_, sql, expected) => expect(split(sql)).toEqual(expected))

  it('keeps the line each statement begins on', () => {
    expect(splitStatements('-- a\n\nselect 1;\n-- b\nselect\n2;').map(({ line }) => line)).toEqual([3, 5])
  })

  it('of a megabyte is split in a moment', () => {
    expect(split("insert into t values ('x; y', $$;$$);\n".repeat(30_000))).toHaveLength(30_000)
  })
})

describe('a statement', () => {
  it.each([
    'create index concurrently i on t(a)',
    'CREATE UNIQUE INDEX /* c */ CONCURRENTLY "I" on t (a)',
    'drop index concurrently i',
    'reindex table concurrently t',
    'vacuum t',
    'alter table t detach partition p concurrently',
  ])('runs alone and without a lock timeout: %s', (sql) =>
    expect([mustRunAlone(only(sql)), waitsQuietly(only(sql))]).toEqual([true, true]),
  )

  it.each([
    'alter table t add column concurrently_used int',
    `comment on table t is 'concurrently'`,
    'create index i on t(a)',
    'alter table t validate constraint c, add column a int',
    'refresh materialized view m',
    'vacuum full t',
  ])('keeps its lock timeout: %s', (sql) => expect(waitsQuietly(only(sql))).toBe(false))

  it.each([
    'alter table t validate constraint c',
    'ALTER TABLE ONLY "s"."T" VALIDATE CONSTRAINT "C"',
    'refresh materialized view concurrently m',
  ])('waits quietly in a transaction: %s', (sql) =>
    expect([mustRunAlone(only(sql)), waitsQuietly(only(sql))]).toEqual([false, true]),
  )

  it.each([
    'begin',
    'START TRANSACTION isolation level serializable',
    'commit',
    'end',
    'abort',
    'rollback',
    'rollback and chain',
    `prepare transaction 'x'`,
  ])('ends or begins a transaction: %s', (sql) => expect(isTransactionControl(only(sql))).toBe(true))

  it.each([
    'savepoint a',
    'rollback to a',
    'ROLLBACK WORK TO SAVEPOINT a',
    'release a',
    'prepare p as select 1',
    `select 'commit'`,
  ])('leaves the transaction alone: %s', (sql) => expect(isTransactionControl(only(sql))).toBe(false))

  it('tells which index it builds or drops', () => {
    expect(
      concurrentIndexOf(only('create index concurrently if not exists "My i" on only s."T" using gin (a)')),
    ).toEqual({ index: '"My i"', table: 's."T"' })
    expect(concurrentIndexOf(only('create index concurrently on t (a)'))).toBeUndefined()
    expect(droppedIndexOf(only('DROP INDEX CONCURRENTLY IF EXISTS s.i'))).toBe('s.i')
  })
})

it('finds directives only in the leading comment', () => {
  expect(leadingComment('-- a\n/* b */\nselect 1 -- c')).toBe('-- a\n/* b */\n')
  expect(leadingComment('#!/usr/bin/env node\n// a\nexport const up = 1')).toBe('#!/usr/bin/env node\n// a\n')
  expect(leadingComment('select 1')).toBe('')
})
