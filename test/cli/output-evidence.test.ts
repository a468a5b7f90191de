import { expect, test } from 'vitest'
import { evidenceLines } from '../../src/cli/output-evidence.js'
import type { LookAnswers } from '../../src/domain/look.js'

const evidence = (more: Partial<LookAnswers['evidence']> = {}): LookAnswers['evidence'] => ({
  byHand: false,
  report: {
    run: 'production-20261120-120300',
    project: 'shop',
    environment: 'production',
    kind: 'deploy',
    tag: '2',
    database: 'shop',
    requestedBy: 'ana',
    startedAt: '2026-11-20T12:03:00.000Z',
    migrations: [],
    steps: [
      { step: 'migrate', stage: 1, attempt: 2, state: 'intended', startedAt: '2026-11-20T12:03:04.000Z', note: '' },
    ],
    decisions: [],
    backups: [
      {
        name: 'pre_1',
        kind: 'clone',
        state: 'valid',
        gate: 'closed',
        run: 'r',
        stage: 1,
        takenAt: '',
        bytes: '1',
        location: 'x',
      },
    ],
    events: [],
    commands: [],
  },
  database: 'the ledger has 0001',
  gate: 'closed',
  contractStarted: false,
  consumers: [{ name: 'stock', touched: true, state: 'paused' }],
  services: [{ name: 'api', current: '1' }],
  ...more,
})

test('of what failed the last words of its tool are there', () => {
  const said = Array.from({ length: 20 }, (_, n) => `line ${n + 1}`).join('\n')
  const failed: LookAnswers['evidence']['report']['steps'][number] = {
    ...{ step: 'migrate', stage: 1, attempt: 1, startedAt: '2026-11-20T12:03:04.000Z' },
    state: 'failed',
    note: 'MigrationFailed: alembic ended with 1',
    evidence: `${said}\n\n  could not\u001b[2J connect`,
  }
  const shown = evidence()
  const lines = evidenceLines({ ...shown, report: { ...shown.report, steps: [failed] } })
  const at = lines.indexOf('  failed     migrate, attempt 1: MigrationFailed: alembic ended with 1')
  expect(lines.slice(at + 1, at + 3)).toEqual(['             | line 14', '             | line 15'])
  expect(lines[at + 8]).toMatch(/^ {13}\| could not.* connect$/)
  expect(lines.join('\n')).not.toContain('\u001b')
  expect(lines).toContain('  more       headgate report production-20261120-120300')
})

test('a gate that others came through is not called proven, and a restore not harmless', () => {
  const lines = evidenceLines(evidence({ others: '2 sessions of others came through the closed gate' }))
  expect(lines).toContain('  gate       closed, but not proven: 2 sessions of others came through the closed gate')
  expect(lines.join()).toContain('writes since the backup leave the live database')
})

test('the evidence names what is unknown, what is paused, and what each choice would do', () => {
  expect(
    evidenceLines(evidence()).join('\n'),
  ).toBe(`production-20261120-120300: deploy of tag 2, database shop, since 2026-11-20 12:03 UTC
  ended      no: its workflow is gone
  unknown    migrate, attempt 2: nobody knows how it ended
  database   the ledger has 0001
  gate       closed since the backup: nobody else wrote
  service    api runs 1
  consumer   stock is paused, paused by the run
  backup     pre_1/clone, valid
  more       headgate report production-20261120-120300

  finish     go on from where it stopped
  fix        go on with a release that mends it: --tag TAG, or the same one with mended files
  restore    put the backup back: nothing is lost, what is live now is kept as quarantine
  redeploy   leave the database, put the previous image back
  accept     leave everything as it is, let writers and consumers in`)
})

test('with the gate open a restore says what leaves the live database, and after contract the image may not run', () => {
  const lines = evidenceLines(evidence({ gate: 'open', contractStarted: true }))
  expect(lines).toContain(
    '  gate       open since the backup: others may have written; a contract migration may have committed',
  )
  expect(lines).toContain(
    '  restore    put the backup back: writes since the backup leave the live database, what is live now is kept as quarantine',
  )
  expect(lines).toContain(
    '  redeploy   refused where a service was restarted: the previous image cannot run on this schema',
  )
})

test('what is held is named, and what the run had failed of before a recovery failed too', () => {
  const lines = evidenceLines(
    evidence({
      autodeploys: [{ name: 'ci', touched: true, state: 'held' }],
      blocked: ['shop_app'],
      earlier: ['could not plan the fix', '0002 failed'],
    }),
  )
  expect(lines).toContain('  autodeploy ci is held, held by the run')
  expect(lines).toContain('  blocked    nobody can log in as shop_app')
  expect(lines.filter((line) => line.startsWith('  before'))).toEqual([
    '  before     could not plan the fix',
    '  before     0002 failed',
  ])
})
