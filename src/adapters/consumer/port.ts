import type { Fence } from '../../domain/fence.js'

/** What the consumer says of itself. `inFlight`: messages taken and not finished. */
export interface ConsumerState {
  state: 'running' | 'paused'
  inFlight: number
  /** Messages waiting, where the kind knows. */
  lag?: number
  /** Messages handled since it started, where the kind knows. */
  processed?: number
}

/** What a kind gets beside its own configuration. */
export interface ConsumerContext {
  /** Where programs run: the folder of headgate.yaml. */
  directory: string
  /** Known secret values, redacted wherever something is shown. */
  secrets: readonly string[]
}

/** What feeds writes in from outside and can be paused. */
export interface Consumer {
  readonly name: string
  /** Messages that may wait at most before it counts as moving again. */
  readonly maxLag?: number
  /** Reads; changes nothing. Throws `ConsumerNotQuiet` when it does not answer in its form. */
  state(signal: AbortSignal): Promise<ConsumerState>
  /** Asks it to pause. Twice is once. A positive answer is not a proof: the step samples `state` after it. */
  pause(fence: Fence): Promise<void>
  /** Asks it to go on. Twice is once. */
  resume(fence: Fence): Promise<void>
}
