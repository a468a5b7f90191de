import { proveCheck } from '../adapters/check/prove.js'
import { failure } from '../domain/failures.js'
import type { Step } from './changing.js'
import type { Site } from './site.js'

/** Waits until a service says that it is ready. `expectedVersion`: the schema version the stage brought, where it matters. Throws `NotReady`. */
export async function proveReady(
  { run, plan, fence }: Step,
  { service, ready, ignoreWhilePaused }: Site['services'][number],
  expectedVersion: string | undefined,
): Promise<void> {
  if (!ready) return
  fence.progress(`wait until ${service.name} is ready`)
  const context = { tag: plan.tag, expectedVersion, ignoring: ignoreWhilePaused, run: run.name }
  const result = await proveCheck(ready, context, {
    signal: fence.signal,
    onSample: ({ found }) => fence.progress(`${service.name}: ${found}`),
  })
  if (!result.ok) throw failure('NotReady', `${service.name} did not become ready: ${result.found}`)
}
