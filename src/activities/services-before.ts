import type { Step } from './changing.js'
import { serviceOf } from './configured.js'
import { recordStateBefore, statesBefore } from './states-before.js'

/** Keeps which of these services run, before this stage stops or starts any of them. */
export async function recordServices(step: Step, names: readonly string[]): Promise<void> {
  const known = await statesBefore(step, 'service')
  for (const { service } of names.flatMap((name) => serviceOf(step.site, name) ?? [])) {
    if (known.has(service.name)) continue
    const isRunning = await service.isRunning(step.fence.signal)
    const state = isRunning === undefined ? 'unknown' : isRunning ? 'running' : 'stopped'
    await recordStateBefore(step, 'service', service.name, { state })
  }
}

/** What this stage found of the services it touched. */
export interface ServicesBefore {
  /** A person had stopped it: it stays so, unless a new image is deployed. */
  wasStopped(name: string): boolean
  /** It was touched, and it ran, or could not tell: it is started again. */
  mayHaveRun(name: string): boolean
}

export async function servicesBefore(step: Pick<Step, 'site' | 'run' | 'stageNumber'>): Promise<ServicesBefore> {
  const states = await statesBefore(step, 'service')
  return {
    wasStopped: (name) => states.get(name) === 'stopped',
    mayHaveRun: (name) => ['running', 'unknown'].includes(states.get(name) ?? ''),
  }
}
