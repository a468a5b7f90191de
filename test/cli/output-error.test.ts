import { ActivityFailure, ApplicationFailure, RetryState } from '@temporalio/common'
import { expect, test } from 'vitest'
import { exitOfError } from '../../src/cli/exit-code.js'
import { answerOf, errorBlock } from '../../src/cli/output-error.js'
import { FAILURES, failure } from '../../src/domain/failures.js'

test('an error is one block: what, what changed, what to do, evidence indented', () => {
  const error = failure('MigrationBlocked', 'could not get a lock on orders', undefined, {
    changed: 'nothing: the migration had not begun',
    evidence: 'pid 42 (report)\n  select * from orders\n',
  })
  expect(errorBlock(error)).toBe(`error E211: could not get a lock on orders
  changed   nothing: the migration had not begun
  do        end what holds the lock, then deploy again

    pid 42 (report)
      select * from orders
`)
})

test('an error that came back through Temporal is known by its type, however deep it is', () => {
  const inner = failure('BackupDamaged', 'pre_migration_1/dump: file 3 differs')
  const activity = new ActivityFailure(
    'Activity task failed',
    'takeBackup',
    '1',
    RetryState.NON_RETRYABLE_FAILURE,
    undefined,
    inner,
  )
  const outer = new Error('Workflow execution failed', { cause: activity })
  expect(answerOf(outer)).toMatchObject({ code: 'E205', what: 'pre_migration_1/dump: file 3 differs' })
})

test('a failure that knows better than its code what to do says so, also when it came back through Temporal', () => {
  const inner = failure('RunOpen', 'run staging-1 is open', undefined, { hint: 'headgate recover staging-1' })
  expect(answerOf(inner).next).toBe('headgate recover staging-1')
  expect(answerOf(new Error('Workflow execution failed', { cause: inner })).next).toBe('headgate recover staging-1')
  expect(answerOf(failure('RunOpen', 'run staging-1 is open')).next).toBe(FAILURES.RunOpen.hint)
})

test('several lines of what is wrong stay one block, without control characters', () => {
  const error = failure(
    'ConfigurationInvalid',
    'headgate.yaml:2:1: unknown key "\u001b[2Jx"\nheadgate.yaml:3:1: url is missing',
  )
  expect(errorBlock(error)).toBe(`error E101: headgate.yaml:2:1: unknown key "x"
            headgate.yaml:3:1: url is missing
  changed   nothing
  do        put right what the message names
`)
})

test('what nobody foresaw is said to be a defect, without a stack', () => {
  const text = errorBlock(new TypeError('x is not a function'))
  expect(text).toMatch(/^error E199: x is not a function\n/)
  expect(text).not.toContain('at ')
})

test.each([
  ['UsageInvalid', 1],
  ['ConfigurationInvalid', 1],
  ['EnvironmentUnknown', 1],
  ['RunUnknown', 1],
  ['TemporalUnreachable', 9],
  ['WorkerMissing', 9],
  ['RunOpen', 4],
  ['ApprovalRefused', 4],
  ['TooLate', 4],
  ['NeedsOperator', 6],
  ['Unexpected', 1],
] as const)('%s is exit %d', (code, exit) => {
  expect(exitOfError(failure(code, 'x'))).toBe(exit)
})

test('what Temporal itself throws is exit 1', () => {
  expect(exitOfError(ApplicationFailure.create({ message: 'x', type: 'Strange' }))).toBe(1)
})
