import { ownTransactions, priorStates, recordPriorState, systemIdentifierOf } from '../adapters/journal/steps.js'
import {
  captureState,
  committedXids,
  compareState,
  currentSnapshot,
  type StateCapture,
  type StateComparison,
} from '../adapters/postgres/unchanged.js'
import type { Client } from 'pg'
import type { Step } from './changing.js'

/** Keeps what the database was like before the stage's first statement. Only the first attempt's capture stands. */
export async function captureBefore({ site, run, stageNumber, onTarget }: Step): Promise<StateCapture> {
  const known = await captureOf({ site, run, stageNumber })
  if (known) return known
  const capture = await onTarget((session) => captureState(session))
  await recordPriorState(site.journal, run.name, 'capture', String(stageNumber), capture)
  return capture
}

export async function captureOf({
  site,
  run,
  stageNumber,
}: Pick<Step, 'site' | 'run' | 'stageNumber'>): Promise<StateCapture | undefined> {
  const found = (await priorStates(site.journal, run.name, 'capture')).get(String(stageNumber))
  // Written by `captureState` and read back as it was.
  return found === undefined ? undefined : (found as StateCapture)
}

/** Whether anything but the journal's own transactions committed since the capture. */
export const compareWithCapture = (
  step: Pick<Step, 'site' | 'run'>,
  session: Client,
  capture: StateCapture,
): Promise<StateComparison> => compareState(session, capture, () => ownSince(step, capture))

/**
 * Whether anything in the whole cluster has committed since the capture that is not the journal's own. Waits for no lock: it
 * can be asked while a migration runs.
 */
export async function hasAnybodyCommitted(
  step: Pick<Step, 'site' | 'run' | 'control'>,
  capture: StateCapture,
): Promise<boolean> {
  const now = await currentSnapshot(step.control)
  const own = await ownSince(step, capture)
  return (await committedXids(step.control, capture.snapshot, now, own)).length > 0
}

/** Transaction ids are the cluster's: those of a journal elsewhere explain nothing here. */
async function ownSince({ site, run }: Pick<Step, 'site' | 'run'>, { snapshot }: StateCapture): Promise<Set<string>> {
  if ((await systemIdentifierOf(site.journal)) !== run.systemIdentifier) return new Set()
  return ownTransactions(site.journal, /^(\d+):/.exec(snapshot)?.[1] ?? '0')
}
