import { ownTransactions, priorStates, recordPriorState, systemIdentifierOf } from '../adapters/journal/steps.js'
import { captureState, compareState, type StateCapture, type StateComparison } from '../adapters/postgres/unchanged.js'
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
export async function compareWithCapture(
  { site, run }: Pick<Step, 'site' | 'run'>,
  session: Client,
  capture: StateCapture,
): Promise<StateComparison> {
  // Transaction ids are the cluster's: those of a journal elsewhere explain nothing here.
  const sharesCluster = (await systemIdentifierOf(site.journal)) === run.systemIdentifier
  const first = /^(\d+):/.exec(capture.snapshot)?.[1] ?? '0'
  return compareState(session, capture, async () =>
    sharesCluster ? ownTransactions(site.journal, first) : new Set<string>(),
  )
}
