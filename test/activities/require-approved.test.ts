import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { requireApproved } from '../../src/activities/require-approved.js'
import { type DecisionRecord, recordDecision } from '../../src/adapters/journal/decisions.js'
import { Journal } from '../../src/adapters/journal/journal.js'
import { prepareJournal } from '../../src/adapters/journal/prepare.js'
import { openRun } from '../../src/adapters/journal/runs.js'
import { DIGEST, planOfShop } from '../cli/plan-of-shop.js'
import { createDatabase } from '../support/test-database.js'

const CONTRACT = 2
const approvers = { ...planOfShop().approvers, count: 2 }

let journal: Journal
let run: { name: string; planDigest: string }
let runs = 0
beforeAll(async () => {
  const { target } = await createDatabase()
  await prepareJournal(target, 'journal')
  journal = new Journal(target, 'journal')
})
afterAll(() => journal.close())
beforeEach(async () => {
  runs += 1
  const plan = planOfShop({ approvers, bound: { systemIdentifier: '7', database: `shop${runs}`, oid: '16384' } })
  const workflowId = 'headgate/shop/production'
  const name = await openRun(journal, {
    ...{ name: `production-20261120-10301${runs}`, kind: 'deploy', lane: 'main', digest: DIGEST, plan },
    ...{ workflowId, workflowRunId: `of run ${runs}`, carrier: workflowId, engine: 'test' },
    ...{ requester: { by: 'ana', verified: false }, startedAt: '2026-11-20T10:30:15.000Z' },
  })
  run = { name, planDigest: DIGEST }
})

const decided = async (...decisions: Partial<DecisionRecord>[]): Promise<void> => {
  const approval = {
    stage: CONTRACT,
    decision: 'approve',
    verified: true,
    accepted: true,
    digest: DIGEST,
    note: '',
  }
  for (const decision of decisions) await recordDecision(journal, run.name, { by: 'ben', ...approval, ...decision })
}
const required = (stage = CONTRACT): Promise<void> => requireApproved(journal, run, planOfShop({ approvers }), stage)

describe('a stage that two people have to approve', () => {
  test.each<[string, Partial<DecisionRecord>[], string]>([
    ['nobody approved', [], '0 of the 2'],
    ['one did', [{ by: 'ben' }], '1 of the 2'],
    ['one did twice', [{ by: 'ben' }, { by: 'ben' }], '1 of the 2'],
    ['one of them was refused', [{ by: 'ben' }, { by: 'eve', accepted: false }], '1 of the 2'],
    ['one approved another stage', [{ by: 'ben' }, { by: 'ana', stage: 1 }], '1 of the 2'],
    ['one approved an older plan', [{ by: 'ben' }, { by: 'ana', digest: '0123456789ab' }], '1 of the 2'],
    ['one of three rejected', [{ by: 'ben' }, { by: 'ana' }, { by: 'dan', decision: 'reject' }], 'rejected by dan'],
  ])('is not begun where %s', async (_, decisions, says) => {
    await decided(...decisions)
    await expect(required()).rejects.toThrow(says)
  })

  test('is begun where two did, for the plan as it is', async () => {
    await decided({ by: 'ben' }, { by: 'ana' })
    await required()
  })
})

test('a stage that nobody has to approve is begun', async () => {
  await required(1)
})
