import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloneDatabase } from '../../../src/adapters/postgres/clone.js'
import { fingerprint, fingerprintDifferences } from '../../../src/adapters/postgres/data-fingerprint.js'
import { applyProperties, propertyStatements } from '../../../src/adapters/postgres/database-properties.js'
import { reopenDatabase } from '../../../src/adapters/postgres/gate.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import { databaseOid, swapDatabases } from '../../../src/adapters/postgres/swap.js'
import { type Target, withDatabase } from '../../../src/adapters/postgres/target.js'
import type { Fingerprint } from '../../../src/domain/manifest.js'
import { cloneName, quarantineName, restoreName } from '../../../src/domain/names.js'
import { appTemplate, copyOf } from '../../support/app-database.js'
import { COMMITTED_CHANGES } from '../../support/committed-changes.js'
import { OpenFence } from '../../support/open-fence.js'
import { postgresProgram } from '../../support/program.js'
import { serverTarget, type TestDatabase, withControl } from '../../support/test-database.js'

const fence = new OpenFence()
const AT = new Date('2026-11-20T10:30:15Z')
let template: TestDatabase
let before: Fingerprint
let properties: string[]
let directory: string

const look = (target: Target): Promise<Fingerprint> =>
  withSession(target, { applicationName: 'test look' }, (session) => fingerprint(session, { rows: 'hash' }))

const propertiesOf = (name: string): Promise<string[]> => withControl((control) => propertyStatements(control, name))

beforeAll(async () => {
  template = await appTemplate()
  before = await look(template.target)
  properties = await propertiesOf(template.name)
  directory = await mkdtemp(join(tmpdir(), 'headgate-dump-'))
  await postgresProgram('pg_dump', ['-Fc', '-Z1', '-f', join(directory, 'app.dump')], template.target)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** Commits the change; the fingerprint must see it. */
async function spoil(app: TestDatabase, sql: string): Promise<void> {
  await withSession(app.target, { applicationName: 'migration' }, async (session) => {
    await session.query(`set search_path = public; set allow_system_table_mods = on`)
    // One statement at a time: an enum value cannot be used in the transaction that adds it.
    for (const statement of sql.replaceAll(':db', app.name).split(';;')) await session.query(statement)
  })
  expect(fingerprintDifferences(before, await look(app.target))).not.toEqual([])
}

async function swapIn(live: string, replacement: string): Promise<string> {
  const quarantine = quarantineName(live, AT, replacement)
  await withControl(async (control) => {
    const [liveOid = '', replacementOid = ''] = [
      await databaseOid(control, live),
      await databaseOid(control, replacement),
    ]
    await swapDatabases(control, { live, replacement, quarantine, liveOid, replacementOid, properties }, fence)
  })
  return quarantine
}

/** Restores the dump beside `app`, as a backup engine does, and returns the new database's name. */
async function restoreBeside(app: TestDatabase): Promise<string> {
  const beside = restoreName(app.name, AT, 'dump')
  await withControl((control) => control.query(`create database "${beside}" template template0`))
  const target = withDatabase(serverTarget(), beside)
  await postgresProgram('pg_restore', ['--exit-on-error', '-d', beside, join(directory, 'app.dump')], target)
  return beside
}

describe('a committed change is seen, and put back exactly by the clone and by the dump', () => {
  test.each(Object.entries(COMMITTED_CHANGES))('%s', async (_name, sql) => {
    const app = await copyOf(template)
    const clone = cloneName(app.name, AT, 'clone')
    await withControl((control) => cloneDatabase(control, app.name, clone, fence))
    await spoil(app, sql)

    await swapIn(app.name, clone)

    expect(fingerprintDifferences(before, await look(app.target))).toEqual([])
    expect(await propertiesOf(app.name)).toEqual(properties)

    await spoil(app, sql)
    await swapIn(app.name, await restoreBeside(app))

    expect(fingerprintDifferences(before, await look(app.target), 'dump')).toEqual([])
    expect(await propertiesOf(app.name)).toEqual(properties)
  })
})

test('a restored database can be given its properties before the swap, and twice', async () => {
  const app = await copyOf(template)
  const beside = await restoreBeside(app)
  await withControl(async (control) => {
    await applyProperties(control, properties, beside, fence)
    await applyProperties(control, properties, beside, fence)
    await reopenDatabase(control, beside, fence)
  })
  expect(await propertiesOf(beside)).toEqual(properties)
  expect(fingerprintDifferences(before, await look(withDatabase(app.target, beside)), 'dump')).toEqual([])
})
