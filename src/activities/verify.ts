import type { Client } from 'pg'
import { proveCheck } from '../adapters/check/prove.js'
import { account } from '../adapters/postgres/account.js'
import { invalidIndexes } from '../adapters/postgres/invalid-indexes.js'
import { failure } from '../domain/failures.js'
import { isUndo } from '../domain/plan.js'
import { captureOf } from './capture.js'
import { changing, type Step } from './changing.js'
import { missingVersions } from './migrate-stage.js'
import type { Dependencies } from './site.js'

/** Proves the stage: the ledger has exactly what was planned, no new invalid index, every configured check positive. */
export const verify = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'verify',
    observe: async () => undefined,
    act: proveStage,
  })

/** Throws `VerifyFailed` with what is not as it has to be. The database must let sessions in. */
export async function proveStage(step: Step): Promise<string> {
  const missing = await missingVersions(step)
  if (missing.length > 0)
    throw failure(
      'VerifyFailed',
      `the ledger ${isUndo(step.stage?.phase) ? 'still has' : 'lacks'} ${missing.join(', ')}`,
    )
  await requireNoNewInvalidIndex(step)
  const { site, plan, run, stage, fence } = step
  const context = {
    tag: plan.tag,
    expectedVersion: stage?.target,
    ignoring: [],
    run: run.name,
    onSession: async (session: Client) => void (await account(fence, session)),
  }
  for (const check of site.verify) {
    fence.progress(`check ${check.name}`)
    const result = await proveCheck(check, context, { signal: fence.signal })
    if (!result.ok) throw failure('VerifyFailed', `${check.name}: ${result.found}`)
  }
  const checks = `${site.verify.length} ${site.verify.length === 1 ? 'check' : 'checks'}`
  return `the ledger is at ${stage?.target}, no new invalid index, ${checks} positive`
}

async function requireNoNewInvalidIndex(step: Step): Promise<void> {
  const before = new Set((await captureOf(step))?.invalidIndexes ?? [])
  const now = await step.onTarget((session) => invalidIndexes(session))
  const fresh = now.map(({ index }) => index).filter((index) => !before.has(index))
  if (fresh.length > 0) throw failure('VerifyFailed', `the migration left ${fresh.join(', ')} invalid`)
}
