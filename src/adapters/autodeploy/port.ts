import type { Fence } from '../../domain/fence.js'

/** Whether it deploys by itself, and how many of its deployments are under way or waiting to be. */
export interface AutodeployState {
  state: 'on' | 'held'
  running: number
}

/** What a kind gets beside its own configuration. */
export interface AutodeployContext {
  project: string
  environment: string
  /** Where programs run: the folder of headgate.yaml. */
  directory: string
  /** Known secret values, redacted wherever something is shown. */
  secrets: readonly string[]
}

/** What deploys without Headgate: a CI workflow, a job. */
export interface Autodeploy {
  readonly name: string
  /** How long it may take until it is held, in ms. */
  readonly withinMs: number
  /** Whether it counts as held only once nothing of it is under way. */
  readonly waits: boolean
  /** Reads; changes nothing. Throws `AutodeployNotHeld` when it does not answer in its form. */
  state(signal: AbortSignal): Promise<AutodeployState>
  /** Keeps it from beginning anything. Twice is once. A positive answer is not a proof: the step samples `state` after it. */
  hold(fence: Fence): Promise<void>
  /** Lets it go on. Twice is once. */
  release(fence: Fence): Promise<void>
}

/** What a kind brings; the rest is the same for all. `calls`: what it is, for its name. */
export type Held = Pick<Autodeploy, 'state' | 'hold' | 'release'> & { calls: string }
