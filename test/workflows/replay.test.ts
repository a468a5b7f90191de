import type { Outcome } from '../../src/domain/outcome.js'
import type { PlanSummary } from '../../src/domain/plan.js'
import {
  cancelsWaiting,
  cancelUpdated,
  concludes,
  decides,
  expires,
  fails,
  meanwhile,
  type Row,
  refuses,
  replays,
  requested,
  type Start,
  shows,
  signals,
  updates,
  waits,
} from '../support/replay.js'
import { summaryOf } from '../support/summary.js'

const EXPAND = { number: 1, phase: 'expand', count: 1, target: '0002', approval: false, deploysImage: true } as const
const CONTRACT = {
  number: 2,
  phase: 'contract',
  count: 1,
  target: '0003',
  approval: true,
  deploysImage: false,
} as const
const IMAGE = { number: 1, phase: 'image', count: 0, approval: false, deploysImage: true } as const

const input = { project: 'shop', environment: 'staging', tag: '2', requester: { by: 'ana' } }
const deploy: Start = { input }
const expand = summaryOf([EXPAND])
const both = summaryOf([EXPAND, CONTRACT])
const approve = { by: 'ben', digest: both.digest }

/** A run that continued as new to wait for the approval of its contract stage. */
const waiting = (carried: object = {}): Start => ({
  input: {
    ...input,
    carried: {
      summary: both,
      stageIndex: 1,
      earlierStageDone: true,
      lines: [],
      decisions: [],
      held: false,
      refusals: 0,
      ...carried,
    },
  },
})

const opening = (summary: PlanSummary): Row[] => [['plan', summary], ['preflight']]
/** A stage until its database is proven, and the rest of it. */
const CLOSED: Row[] = [['pauseConsumers'], ['quiesceWriters'], ['takeBackup'], ['migrateStage'], ['verify']]
const OPENED: Row[] = [['restartServices'], ['smoke'], ['resumeConsumers']]
const STAGE: Row[] = [...CLOSED, ...OPENED]
const APPROVED: Row[] = [['notify'], waits, decides('approve', approve), ['confirmPlan', { same: true }]]

const back = (state: string): Row => ['putBack', { state, text: state }]
const RELEASED: Row[] = [['releaseWriters'], ['resumeConsumers']]

replays(
  'one expand stage: pause, stop writers, back up, migrate, verify, restart, smoke, resume',
  deploy,
  [...opening(expand), ...STAGE, concludes('succeeded')],
  'completed',
)
replays(
  'only an image: nobody is paused, nothing is backed up',
  deploy,
  [...opening(summaryOf([IMAGE])), ['restartServices'], ['smoke'], concludes('succeeded')],
  'completed',
)
const holding = summaryOf([EXPAND], { holds: true })
replays(
  'what deploys by itself is held before anything else, and goes on after everything else',
  deploy,
  [...opening(holding), ['holdAutodeploy'], ...STAGE, ['releaseAutodeploy'], concludes('succeeded')],
  'completed',
)
replays(
  'where it cannot be held nothing else is touched, and it goes on',
  deploy,
  [...opening(holding), ['holdAutodeploy', fails('AutodeployNotHeld')], ['releaseAutodeploy'], concludes('aborted')],
  'failed',
)
replays(
  'where a stage is put back it goes on once everybody else does',
  deploy,
  [
    ...opening(holding),
    ['holdAutodeploy'],
    ...CLOSED.slice(0, 3),
    ['migrateStage', fails('MigrationFailed')],
    back('restored'),
    ...RELEASED,
    ['releaseAutodeploy'],
    concludes('restored'),
  ],
  'failed',
)
replays(
  'where nobody knows what the database is like it stays held',
  deploy,
  [
    ...opening(holding),
    ['holdAutodeploy'],
    ...CLOSED.slice(0, 3),
    ['migrateStage', fails('MigrationFailed')],
    ['putBack', fails('BackupDamaged')],
    concludes('needs-operator'),
  ],
  'failed',
)
replays(
  'a fresh database is planned and made',
  { kind: 'init-db', input },
  [['plan', summaryOf([])], ['initDatabase'], concludes('succeeded')],
  'completed',
)
const UNDO_CONTRACT = { ...EXPAND, phase: 'undo-contract', target: '0002' } as const
const UNDO_EXPAND = { ...EXPAND, number: 2, phase: 'undo-expand', target: '0001', deploysImage: false } as const
const goDown: Start = { kind: 'rollback', input: { ...input, downTo: '0001' } }
replays(
  'down to a version: a stage to take contract migrations back, with the image, and one for expand migrations',
  goDown,
  [...opening(summaryOf([UNDO_CONTRACT, UNDO_EXPAND])), ...STAGE, ...STAGE, concludes('succeeded')],
  'completed',
)
replays(
  'down to a version: a second stage that fails is put back, and the run is deferred',
  goDown,
  [
    ...opening(summaryOf([UNDO_CONTRACT, UNDO_EXPAND])),
    ...STAGE,
    ...CLOSED.slice(0, 3),
    ['migrateStage', fails('MigrationFailed')],
    back('restored'),
    ...RELEASED,
    concludes('deferred'),
  ],
  'completed',
)
replays('nothing to do: nobody is touched', deploy, [...opening(summaryOf([])), concludes('succeeded')], 'completed')
replays(
  'the search attributes are written where the server knows them',
  deploy,
  [
    ['plan', summaryOf([IMAGE], { searchAttributes: true })],
    shows(2),
    ['preflight'],
    shows(1),
    ['restartServices'],
    shows(1),
    ['smoke'],
    shows(1),
    concludes('succeeded'),
    shows(1),
  ],
  'completed',
)
replays(
  'a clone is dropped once the run has ended well and its dump is kept',
  deploy,
  [
    ...opening(summaryOf([IMAGE], { clones: true })),
    ['restartServices'],
    ['smoke'],
    ['tidyBackups'],
    concludes('succeeded'),
  ],
  'completed',
)
replays(
  'a clone that cannot be dropped does not change the outcome',
  deploy,
  [
    ...opening(summaryOf([IMAGE], { clones: true })),
    ['restartServices'],
    ['smoke'],
    ['tidyBackups', fails('DatabaseUnreachable')],
    concludes('succeeded'),
  ],
  'completed',
)
replays('a contract stage: the wait begins in a new execution', deploy, [...opening(both), ...STAGE], 'continuedAsNew')
replays(
  'only contract: the wait begins before anybody is paused',
  deploy,
  opening(summaryOf([CONTRACT])),
  'continuedAsNew',
)
replays(
  'approved by update: the contract stage runs',
  waiting(),
  [...APPROVED, ...STAGE, concludes('succeeded')],
  'completed',
)
replays(
  'approved by signal',
  waiting(),
  [['notify'], waits, signals('approve', approve), ['confirmPlan', { same: true }], ...STAGE, concludes('succeeded')],
  'completed',
)
replays(
  'a plan that changed while it waited is asked for again',
  waiting(),
  [
    ['notify'],
    waits,
    decides('approve', approve),
    ['confirmPlan', { same: false, summary: { ...both, stages: [CONTRACT] } }],
    ['notify'],
    waits,
    decides('approve', approve),
    ['confirmPlan', { same: true }],
    ...STAGE,
    concludes('succeeded'),
  ],
  'completed',
)
replays(
  'rejected: nobody is paused, the expanded database stays',
  waiting(),
  [['notify'], waits, decides('reject', approve), concludes('deferred', 'person')],
  'completed',
)
replays(
  'nobody approves in time',
  waiting(),
  [['notify'], waits, expires, concludes('deferred', 'person')],
  'completed',
)
replays(
  'cancelled while it waits',
  waiting(),
  [['notify'], waits, cancelsWaiting, concludes('deferred', 'person')],
  'completed',
)
replays(
  'held in the first stage: it stops before the contract stage, and continues as new when told to',
  deploy,
  [...opening(both), ['pauseConsumers', meanwhile(updates('hold'))], ...STAGE.slice(1), updates('continue')],
  'continuedAsNew',
)
replays(
  'under `onFailure: hold` the failed step runs again on `retry`',
  deploy,
  [
    ...opening(summaryOf([EXPAND], { holdOnFailure: true })),
    ['pauseConsumers', fails('ConsumerNotQuiet')],
    ['notify'],
    updates('retry'),
    ...STAGE,
    concludes('succeeded'),
  ],
  'completed',
)

replays('the plan is refused: there is no run to end', deploy, [['plan', fails('PlanInvalid')]], 'failed')
replays(
  'preflight fails: nothing is undone',
  deploy,
  [['plan', expand], ['preflight', fails('GuardFailed')], concludes('aborted', 'guard')],
  'failed',
)

const PREVIOUS: Row = ['redeployPrevious']
const ASKS: Row = ['putBack', fails('NeedsOperator')]
/** What is undone, in this order, for each step that fails; and what is when the stage was a contract. */
const FAILURES: readonly { step: string; undone: Row[]; outcome: Outcome; contract: Row[]; asks?: boolean }[] = [
  { step: 'pauseConsumers', undone: [['resumeConsumers']], outcome: 'aborted', contract: [['resumeConsumers']] },
  { step: 'quiesceWriters', undone: RELEASED, outcome: 'aborted', contract: RELEASED },
  {
    step: 'takeBackup',
    undone: [back('unchanged'), ...RELEASED],
    outcome: 'aborted',
    contract: [back('unchanged'), ...RELEASED],
  },
  {
    step: 'migrateStage',
    undone: [back('restored'), ...RELEASED],
    outcome: 'restored',
    contract: [back('unchanged'), ...RELEASED],
  },
  { step: 'verify', undone: [back('restored'), ...RELEASED], outcome: 'restored', contract: [ASKS], asks: true },
  {
    step: 'restartServices',
    undone: [PREVIOUS, back('at-target'), ...RELEASED],
    outcome: 'rolled-back',
    contract: [PREVIOUS, ASKS],
    asks: true,
  },
  {
    step: 'smoke',
    undone: [PREVIOUS, back('at-target'), ...RELEASED],
    outcome: 'rolled-back',
    contract: [PREVIOUS, ASKS],
    asks: true,
  },
]

/** The stage until `failing`, which answers with `answer`. */
function until(failing: string, answer: unknown): Row[] {
  const names = STAGE.map((row) => (typeof row === 'function' ? '' : row[0]))
  return [...STAGE.slice(0, names.indexOf(failing)), [failing, answer]]
}

for (const { step, undone, outcome, contract, asks } of FAILURES) {
  const failed = until(step, fails('Unexpected'))
  replays(`${step} fails`, deploy, [...opening(expand), ...failed, ...undone, concludes(outcome)], 'failed')
  // The expand stage is done and stays: a contract stage that is undone is deferred, and its workflow completed.
  const [left, end] = asks ? (['needs-operator', 'failed'] as const) : (['deferred', 'completed'] as const)
  replays(`${step} fails in the contract stage`, waiting(), [...APPROVED, ...failed, ...contract, concludes(left)], end)
}
for (const { step, undone, outcome } of FAILURES.slice(0, 3)) {
  const cancelled = until(step, requested('stopped'))
  replays(
    `cancelled during ${step}`,
    deploy,
    [...opening(expand), ...cancelled, ...undone, concludes(outcome, 'person')],
    'cancelled',
  )
}
replays(
  'cancelled by update while it plans: the run that was opened is ended',
  deploy,
  [['plan', meanwhile(updates('cancel'), expand)], concludes('aborted', 'person')],
  'cancelled',
)
replays(
  'cancelled during migrateStage, which waits for the tool to end',
  deploy,
  [
    ...opening(expand),
    ...until('migrateStage', requested({ answer: '' })),
    back('restored'),
    ...RELEASED,
    concludes('restored', 'person'),
  ],
  'cancelled',
)
replays(
  'cancelled during restartServices: the previous image comes back',
  deploy,
  [
    ...opening(expand),
    ...until('restartServices', requested('stopped')),
    ['redeployPrevious'],
    back('at-target'),
    ...RELEASED,
    concludes('rolled-back', 'person'),
  ],
  'cancelled',
)
replays(
  'cancelled by update during takeBackup: concluding cancels the workflow',
  deploy,
  [
    ...opening(expand),
    ...until('takeBackup', cancelUpdated('stopped')),
    back('unchanged'),
    ...RELEASED,
    concludes('aborted', 'person'),
  ],
  'cancelled',
)
replays(
  'cancelled during a contract migration that had committed: it goes on to its end',
  waiting(),
  [...APPROVED, ...until('migrateStage', requested({ answer: '' })), ['verify'], ...OPENED, concludes('succeeded')],
  'completed',
)
for (const cancelled of [requested('stopped'), requested({ answer: fails('FenceLost') }), cancelUpdated('stopped')]) {
  const how = `${cancelled.by} ${cancelled.ended === 'stopped' ? 'stopped it' : 'lost its worker'}`
  replays(
    `a contract migration, when a cancel by ${how}, is asked once more, and had committed nothing`,
    waiting(),
    [
      ...APPROVED,
      ...until('migrateStage', cancelled),
      ['migrateStage', fails('Cancelled')],
      back('unchanged'),
      ...RELEASED,
      concludes('deferred', 'person'),
    ],
    'completed',
  )
  replays(
    `a contract migration, when a cancel by ${how}, is asked once more, and had committed: it goes on`,
    waiting(),
    [...APPROVED, ...until('migrateStage', cancelled), ['migrateStage'], ['verify'], ...OPENED, concludes('succeeded')],
    'completed',
  )
}

replays(
  'the way back fails: writers stay stopped and consumers paused',
  deploy,
  [
    ...opening(expand),
    ...until('migrateStage', fails('MigrationFailed')),
    ['putBack', fails('NeedsOperator')],
    concludes('needs-operator'),
  ],
  'failed',
)
replays(
  'the previous image does not come back: the database is put back all the same, nobody is resumed',
  deploy,
  [
    ...opening(expand),
    ...until('smoke', fails('SmokeFailed')),
    ['redeployPrevious', fails('ServiceFailed')],
    back('at-target'),
    concludes('needs-operator'),
  ],
  'failed',
)
replays(
  'consumers do not move again after the last step: a person is told',
  deploy,
  [
    ...opening(expand),
    ...CLOSED,
    ['restartServices'],
    ['smoke'],
    ['resumeConsumers', fails('ConsumerNotMoving')],
    concludes('needs-operator'),
  ],
  'failed',
)

const restore: Start = { kind: 'restore', input: { ...input, backup: 'b' } }
const RESTORE: Row[] = [
  ...opening(summaryOf([{ number: 1, phase: 'restore', count: 0, approval: false, deploysImage: false }])),
  ['pauseConsumers'],
  ['quiesceWriters'],
]
replays(
  'a chosen backup is put in the place of the live database',
  restore,
  [...RESTORE, ['restoreBackup'], ['restartServices'], ['resumeConsumers'], concludes('succeeded')],
  'completed',
)
replays(
  'a chosen backup that cannot be put in place: consumers stay paused',
  restore,
  [...RESTORE, ['restoreBackup', fails('BackupDamaged')], concludes('needs-operator')],
  'failed',
)
replays(
  'a backup: nobody is touched',
  { kind: 'backup', input },
  [['plan', summaryOf([])], ['takeBackup'], concludes('succeeded')],
  'completed',
)
const recover = (choice: string): Start => ({ kind: 'recover', input: { ...input, recover: { choice } } })
const FOUND = { outcome: 'rolled-back', reason: 'chosen', database: 'at 0002', services: 'api on 1' }
replays(
  'recover by restoring: writers are stopped again, what was stopped is started once the backup is in place',
  recover('restore'),
  [
    ['openRecovery', expand],
    ['quiesceWriters'],
    ['restoreBackup'],
    ['redeployPrevious'],
    ...RELEASED,
    ['observeRecovered', { ...FOUND, outcome: 'restored' }],
    concludes('restored', 'nothing'),
  ],
  'failed',
)

const MIGRATION_FAILS = [...opening(expand), ...until('migrateStage', fails('MigrationFailed'))]
const RESTORED = back('restored')
refuses('nothing after the plan', deploy, [['plan', expand]], 'completed')
refuses(
  'a stage without verify',
  deploy,
  [...opening(expand), ...CLOSED.slice(0, -1), ...OPENED, concludes('succeeded')],
  'completed',
)
refuses(
  'services restarted before the backup',
  deploy,
  [
    ...opening(expand),
    ['pauseConsumers'],
    ['quiesceWriters'],
    ['restartServices'],
    ['takeBackup'],
    ['migrateStage'],
    ['verify'],
    ['smoke'],
    ['resumeConsumers'],
    concludes('succeeded'),
  ],
  'completed',
)
refuses(
  'consumers resumed before the smoke test',
  deploy,
  [...opening(expand), ...CLOSED, ['restartServices'], ['resumeConsumers'], ['smoke'], concludes('succeeded')],
  'completed',
)
refuses('an approval without a new execution', deploy, [...opening(both), ...STAGE, ...APPROVED], 'still open')
refuses(
  'a contract stage that nobody approved',
  deploy,
  [...opening(both), ...STAGE, ...STAGE, concludes('succeeded')],
  'completed',
)
refuses(
  'an approval whose plan is not compared',
  waiting(),
  [['notify'], waits, decides('approve', approve), ...STAGE, concludes('succeeded')],
  'completed',
)
refuses(
  'completed though the migration failed',
  deploy,
  [...MIGRATION_FAILS, RESTORED, ...RELEASED, concludes('restored')],
  'completed',
)
refuses('failed though every step is done', deploy, [...opening(expand), ...STAGE, concludes('succeeded')], 'failed')
refuses(
  'writers released before the database is back',
  deploy,
  [...MIGRATION_FAILS, ['releaseWriters'], RESTORED, ['resumeConsumers'], concludes('restored')],
  'failed',
)
refuses(
  'consumers resumed before the database is back',
  deploy,
  [...MIGRATION_FAILS, ['resumeConsumers'], RESTORED, ['releaseWriters'], concludes('restored')],
  'failed',
)
refuses(
  'undos in the order of the steps',
  deploy,
  [...MIGRATION_FAILS, ['resumeConsumers'], ['releaseWriters'], RESTORED, concludes('restored')],
  'failed',
)
refuses(
  'writers that are never released',
  deploy,
  [...MIGRATION_FAILS, RESTORED, ['resumeConsumers'], concludes('restored')],
  'failed',
)
refuses(
  'a failed migration that is not put back',
  deploy,
  [...MIGRATION_FAILS, ...RELEASED, concludes('aborted')],
  'failed',
)
refuses('a failed run whose end is not told', deploy, [...MIGRATION_FAILS, RESTORED, ...RELEASED], 'failed')
refuses(
  'consumers resumed though the way back failed',
  deploy,
  [...MIGRATION_FAILS, ['putBack', fails('NeedsOperator')], ['resumeConsumers'], concludes('needs-operator')],
  'failed',
)
refuses(
  'a cancelled backup after which nothing is undone',
  deploy,
  [...opening(expand), ...until('takeBackup', requested('stopped')), concludes('aborted', 'person')],
  'cancelled',
)
refuses(
  'a contract migration that a cancel stopped, undone before it is known whether it had committed',
  waiting(),
  [
    ...APPROVED,
    ...until('migrateStage', requested('stopped')),
    back('unchanged'),
    ...RELEASED,
    concludes('deferred', 'person'),
  ],
  'completed',
)
refuses(
  'a cancelled run that closes as failed',
  deploy,
  [
    ...opening(expand),
    ...until('takeBackup', requested('stopped')),
    back('unchanged'),
    ...RELEASED,
    concludes('aborted', 'person'),
  ],
  'failed',
)
refuses(
  'consumers resumed though a chosen backup could not be put in place',
  restore,
  [...RESTORE, ['restoreBackup', fails('BackupDamaged')], ...RELEASED, concludes('needs-operator')],
  'failed',
)
