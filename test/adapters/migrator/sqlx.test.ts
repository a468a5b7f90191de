import { execFile } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createMigrator } from '../../../src/adapters/migrator/index.js'
import { plainUrl } from '../../../src/adapters/migrator/tool-environment.js'
import { knownFailure } from '../../../src/domain/failures.js'
import { SQLX, type SqlxMigration, writeSqlx } from '../../support/sqlx-release.js'
import {
  beginAnewContract,
  type Fixture,
  failureOf,
  markContract,
  migratorContract,
  PASSWORD,
  project,
} from './contract.js'

const configuration = (folder: string, command = [SQLX]) => ({
  ...{ kind: 'sqlx' as const, dir: folder, command, table: '_sqlx_migrations' },
})

const sqlx: Fixture = {
  kind: 'sqlx',
  knowsFiles: true,
  write: writeSqlx,
  create: (folder) =>
    createMigrator(configuration(folder), { logDirectory: `${folder}-logs`, secrets: [PASSWORD], sources: '' }),
}

describe('the program sqlx', () => {
  migratorContract(sqlx)
  markContract(sqlx)
  beginAnewContract(sqlx, 'update _sqlx_migrations set success = false where version = 102')
})

const A: SqlxMigration = { version: '101', up: ['create table a (id int)'] }
const files = async (written: Record<string, string>) => {
  const made = await project(sqlx, [])
  for (const [name, text] of Object.entries(written)) writeFileSync(join(made.folder, name), text)
  return made
}

describe('a folder of sqlx migrations', () => {
  it('is read as sqlx reads it: what it records is what we computed', async () => {
    const { migrator, folder, target, ledger } = await files({
      '0003_with_a_BOM_and_ümlaut.sql': "select 'ä'",
      '20260101000000_long_version.up.sql': 'select 1',
      '20260101000000_long_version.down.sql': 'select 1',
      '7_.sql': 'select 1\r\n',
      '8_contract.contract.sql': '-- drops\nselect 1',
      'README.md': 'no migration',
      'notes.sql': 'no version, no underscore: passed over',
    })
    const found = await migrator.migrations('v1')
    await promisify(execFile)(SQLX, ['migrate', 'run', '--source', folder], {
      env: { PATH: process.env.PATH, DATABASE_URL: plainUrl(target) },
    })
    const { applied } = await ledger()
    expect(applied.map(({ version, checksum }) => ({ version, checksum }))).toEqual(
      found.map(({ version, checksum }) => ({ version, checksum })),
    )
    expect(found.map(({ version, phase, hasDown }) => [version, phase, hasDown])).toEqual([
      ['3', 'expand', false],
      ['7', 'expand', false],
      ['8', 'contract', false],
      ['20260101000000', 'expand', true],
    ])
  })

  it.each([
    ['a version that is none', { 'x1_a.sql': 'select 1' }, /x1_a\.sql: "x1" is no version/],
    ['a version that is too long', { '9223372036854775808_a.sql': 'select 1' }, /is no version/],
    ['two files of one version', { '1_a.sql': 'select 1', '0001_b.sql': 'select 1' }, /are both version 1: rename one/],
    [
      'an index that is built concurrently beside something else',
      { '1_a.sql': '-- no-transaction\nselect 1;\ncreate index concurrently i on a (n)' },
      /1_a\.sql, line 3: "create index concurrently.* has to be alone in its file/,
    ],
    ['a way down from nothing', { '1_a.sql': '', '2_b.down.sql': '' }, /2_b\.down\.sql undoes nothing/],
  ])('is refused with %s', async (_, written, words) => {
    const { migrator } = await files(written)
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringMatching(words),
    })
  })

  it('is refused where it is not UTF-8, which sqlx would stop at on the night', async () => {
    const { migrator, folder } = await files({ '1_a.sql': 'select 1' })
    writeFileSync(join(folder, '2_b.sql'), Buffer.from([0xff, 0xfe]))
    expect(knownFailure(await failureOf(migrator.migrations('v1')))?.message).toMatch(/2_b\.sql is not UTF-8/)
  })

  it('knows what leaves its transaction: by the first words of the file only, or by a commit of its own', async () => {
    const { migrator } = await files({
      '1_a.sql': '-- no-transaction\nselect 1',
      '2_b.sql': '-- about\n-- no-transaction\nselect 1',
      '3_c.sql': 'select 1; commit; select 2',
      '4_d.sql': `select '; commit;'`,
    })
    expect((await migrator.migrations('v1')).map(({ transactional }) => transactional)).toEqual([
      false,
      true,
      false,
      true,
    ])
  })
})

describe('the ledger of sqlx', () => {
  it('with a migration that was edited after it was applied is refused, as sqlx refuses it', async () => {
    const { up, rewrite } = await project(sqlx, [A])
    await up(['101'])
    const next: SqlxMigration = { version: '102', up: ['select 1'] }
    rewrite([{ ...A, up: ['create table a (id bigint)'] }, next])
    expect(knownFailure(await failureOf(up(['102'])))).toMatchObject({
      code: 'StateUnexpected',
      message: '101 was edited after it was applied',
    })
  })

  it('with a migration half done is refused', async () => {
    const { up, look, ledger } = await project(sqlx, [A, { version: '102', up: ['select 1'] }])
    await up(['101'])
    await look(`update _sqlx_migrations set success = false`)
    expect(await ledger()).toMatchObject({ applied: [], dirty: '101' })
    expect(knownFailure(await failureOf(up(['102'])))?.message).toMatch(/101/)
  })

  it('with a newer version than one that is pending is refused: it would be applied behind what rests on it', async () => {
    const late: SqlxMigration = { version: '100', up: ['create table late (id int)'] }
    const { up, rewrite } = await project(sqlx, [A])
    await up(['101'])
    rewrite([late, A])
    expect(knownFailure(await failureOf(up(['100'])))).toMatchObject({
      code: 'StateUnexpected',
      message: '100 is older than 101, which is applied',
    })
  })
})

describe('a program sqlx', () => {
  it('that is not there is named', async () => {
    const { folder } = await project(sqlx, [A])
    const migrator = createMigrator(configuration(folder, ['sqlx-of-nobody']), {
      logDirectory: folder,
      secrets: [],
      sources: '',
    })
    expect(knownFailure(await failureOf(migrator.describe('v1')))).toMatchObject({
      code: 'ToolMissing',
      message: expect.stringContaining('sqlx-of-nobody'),
    })
  })

  it('that knows no target is too old', async () => {
    const { folder } = await project(sqlx, [A])
    const old = join(folder, 'sqlx')
    writeFileSync(old, '#!/bin/sh\necho sqlx-cli 0.6.3\n')
    chmodSync(old, 0o755)
    const migrator = createMigrator(configuration(folder, [old]), { logDirectory: folder, secrets: [], sources: '' })
    expect(knownFailure(await failureOf(migrator.describe('v1')))).toMatchObject({
      code: 'ToolMissing',
      message: expect.stringContaining('sqlx-cli 0.6.3 knows no --target-version'),
    })
  })
})
