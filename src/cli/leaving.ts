import { EXIT } from '../domain/outcome.js'

/** Told again later than this, somebody does not want to wait. npm sends us what the terminal has sent us already. */
const AGAIN_MS = 1_000

export type LeaveSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/**
 * Calls `leave` when this process is told to end; told once more it exits at once, and what it started goes with it. Returns
 * what ends the listening: until then nobody but us decides what a signal means.
 */
export function whenToldToEnd(leave: () => void, signals: readonly LeaveSignal[] = ['SIGINT', 'SIGTERM']): () => void {
  let toldAt: number | undefined
  const hear = (): void => {
    if (toldAt !== undefined && Date.now() - toldAt > AGAIN_MS) process.exit(EXIT.viewerLeft)
    if (toldAt !== undefined) return
    toldAt = Date.now()
    leave()
  }
  // Not `once`: who starts a program here may listen too, and where nobody else is left it would end us at once.
  for (const name of signals) process.on(name, hear)
  return () => {
    for (const name of signals) process.off(name, hear)
  }
}
