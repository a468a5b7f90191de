import { randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { appliedBy } from '../../../src/adapters/journal/applied.js'
import { Journal } from '../../../src/adapters/journal/journal.js'
import { prepareJournal } from '../../../src/adapters/journal/prepare.js'
import { endRun, openRun } from '../../../src/adapters/journal/runs.js'
import { intend } from '../../../src/adapters/journal/steps.js'
import type { Plan, Stage } from '../../../src/domain/plan.js'
import type { Ending } from '../../../src/domain/run.js'
import { migration, planOfShop } from '../../cli/plan-of-shop.js'
import { createDatabase } from '../../support/test-database.js'

const SHOP = { project: 'shop', environment: 'production' }

let journal: Journal
let runs = 0
beforeAll(async () => {
  const { target } = await createDatabase()
  await prepareJournal(target, 'applied')
  journal = new Journal(target, 'applied')
  return () => journal.close()
})
beforeEach(() => journal.write((sql) => sql('truncate runs, steps, plans, backups, events cascade')))

/** A run of this plan that has come to its end, with the migrator called for the stages in `called`. */
async function ran(plan: Plan, called: number[] = [], outcome: Ending['outcome'] = 'succeeded'): Promise<string> {
  const id = randomUUID()
  const run = await openRun(journal, {
    ...{ name: `production-${++runs}`, kind: plan.kind, lane: 'main', carrier: id, engine: '', digest: id, plan },
    ...{ workflowId: id, workflowRunId: id, requester: { by: 'ana', verified: false } },
    startedAt: new Date(Date.UTC(2026, 0, 1, 0, runs)).toISOString(),
  })
  for (const stage of called) await intend(journal, { run, step: 'migrate', stage, attempt: 1, epoch: 1, host: 'here' })
  const ending = { outcome, acceptedBy: 'ana', reason: '' } as Ending
  await endRun(journal, run, ending, { carrier: id })
  return run
}

const stage = (number: number, version: string, checksum: string, phase: Stage['phase'] = 'expand'): Stage => ({
  ...{ number, phase, target: version, deploysImage: false, approval: false },
  migrations: [migration(version, { checksum })],
})
const applying = (...stages: Stage[]): Plan => planOfShop({ stages })
const known = async (...versions: string[]): Promise<Record<string, string>> =>
  Object.fromEntries([...(await appliedBy(journal, SHOP, versions))].map(([key, { checksum }]) => [key, checksum]))

test('a version is known by the newest run that called the migrator for its stage, and one of others is not', async () => {
  await ran(applying(stage(1, '2', 'old')), [1])
  const run = await ran(applying(stage(1, '2', 'new'), stage(2, '3', 'left', 'contract')), [1], 'deferred')
  expect(await known('1', '2', '3')).toEqual({ 2: 'new' })
  expect((await appliedBy(journal, SHOP, ['2'])).get('2')).toMatchObject({ run, image: undefined })
  expect((await appliedBy(journal, { ...SHOP, environment: 'staging' }, ['2'])).size).toBe(0)
})

test('what a run put back, or took back, is not known any more', async () => {
  await ran(applying(stage(1, '2', 'old')), [1])
  await ran(applying(stage(1, '3', 'gone')), [1], 'restored')
  expect(await known('2', '3')).toEqual({ 2: 'old' })
  await ran(applying(stage(1, '2', 'down', 'undo-expand')), [1])
  expect(await known('2')).toEqual({})
})

test('a restore leaves what its backup has', async () => {
  await ran(applying(stage(1, '2', 'two'), stage(2, '3', 'three')), [1, 2])
  const plan = planOfShop({ kind: 'restore', stages: [], restores: 'nightly/dump' })
  const run = await ran(plan)
  expect(await known('2', '3')).toEqual({})
  await journal.write((sql) =>
    sql(
      `insert into backups (project, environment, name, kind, run, stage, system_identifier, database, state, manifest)
       values ('shop', 'production', 'nightly', 'dump', $1, 1, '7', 'shop', 'valid', '{"ledger":["1","2"]}')`,
      [run],
    ),
  )
  expect(await known('2', '3')).toEqual({ 2: 'two' })
})

test('a fresh database knows the files that it was made of, a mark the file that it was made from', async () => {
  await ran(applying(stage(1, '2', 'two'), stage(2, '3', 'three')), [1, 2])
  const migrations = [{ version: '2', checksum: 'fresh' }]
  await ran(planOfShop({ kind: 'init-db', stages: [], creates: { instead: 'old', by: 'init', migrations } }))
  expect(await known('2', '3')).toEqual({ 2: 'fresh' })
  const marked = { version: '2', as: 'applied' as const, was: 'applied from another file', checksum: 'marked' }
  await ran(planOfShop({ kind: 'repair', stages: [], marks: marked }))
  expect(await known('2')).toEqual({ 2: 'marked' })
  await ran(planOfShop({ kind: 'repair', stages: [], marks: { version: '2', as: 'pending', was: 'applied' } }))
  expect(await known('2')).toEqual({})
})
