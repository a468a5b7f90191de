import { setTimeout as pause } from 'node:timers/promises'
import { recordVouched } from '../adapters/journal/steps.js'
import { countsWrites, sessionCount, writeCount } from '../adapters/postgres/gate.js'
import type { Step } from './changing.js'
import { strangers, whyOpen } from './gate.js'

/** A tool that has ended may have a session that is still on its way out. */
const GONE_WITHIN_MS = 2_000
const COUNTED_WITHIN_MS = 1_000
const POLL_MS = 20

/**
 * Runs `work`, which only looks, behind the closed gate. A tool's session may be gone before it was seen: where every one
 * before was accounted for, nobody but ours is inside afterwards and no row has been written meanwhile, those that came and
 * went unseen are accounted for as well. Whoever they were, they changed nothing (a number that one drew from a sequence is
 * in no row). `settled`: whoever watches has journaled those that it saw.
 */
export async function vouched<T>(
  step: Step,
  work: () => Promise<T>,
  settled: () => Promise<void> = async () => {},
): Promise<T> {
  const before = await provenSoon(step).catch(() => undefined)
  try {
    return await work()
  } finally {
    // What cannot be vouched for makes the gate count as open, never as closed.
    if (before)
      await settled()
        .then(() => vouch(step, before))
        .catch(() => {})
  }
}

interface Proven {
  writes: bigint
  since: string
}

/** A session of ours that has just ended may not be counted yet. */
async function provenSoon(step: Step): Promise<Proven | undefined> {
  for (const started = performance.now(); ; await pause(POLL_MS)) {
    const found = await proven(step)
    if (found || step.run.gate !== 'closed' || performance.now() - started > COUNTED_WITHIN_MS) return found
  }
}

/** What has been written until now, where it is proven that all of it was ours. */
async function proven(step: Step): Promise<Proven | undefined> {
  const { run, control } = step
  if (run.gate !== 'closed' || !(await countsWrites(control))) return undefined
  const { since } = await sessionCount(control, run.database)
  // In this order: whoever wrote before the first look is still inside, or is counted by the last one.
  const writes = await writeCount(control, run.database)
  if ((await strangers(step)).length > 0) return undefined
  return (await whyOpen(step, 'nobody')) === undefined ? { writes, since } : undefined
}

async function vouch(step: Step, before: Proven): Promise<void> {
  const { site, run, control } = step
  for (const started = performance.now(); (await strangers(step)).length > 0; await pause(POLL_MS))
    if (performance.now() - started > GONE_WITHIN_MS) return
  // In this order: whoever is counted is still inside, or journaled, or all that he wrote is counted too.
  const { sessions, since } = await sessionCount(control, run.database)
  if (since !== before.since || (await strangers(step)).length > 0) return
  if ((await writeCount(control, run.database)) !== before.writes) return
  await recordVouched(site.journal, run.name, sessions)
}
