import type { Fence } from '../../domain/fence.js'

/** What the consumer says of itself. `inFlight`: messages taken and not finished. */
export interface ConsumerState {
  state: 'running' | 'paused'
  inFlight: number
  /** Messages waiting, where the kind knows. */
  lag?: number
  /** Messages handled since it started, where the kind knows. */
  processed?: number
  /** How many are in its group, where it has one. */
  members?: number
}

/** For how long something that a consumer comes back to is kept while it is paused. */
export interface Kept {
  /** `messages of topic orders`. */
  what: string
  ms: number
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
  /** What is not kept for ever of what it comes back to, where the kind knows. Reads; changes nothing. Throws as `state`. */
  kept?(signal: AbortSignal): Promise<Kept[]>
  /** Where it goes on from, by whatever it reads (`orders/0`), where the kind knows. Reads; changes nothing. Throws as `state`. */
  positions?(signal: AbortSignal): Promise<Record<string, string>>
  /** Who would end a pause that he knows nothing of, in words; asked before anybody is paused. Reads; changes nothing. Throws as `state`. */
  undoneBy?(signal: AbortSignal): Promise<string[]>
  /** Asks it to pause. Twice is once. A positive answer is not a proof: the step samples `state` after it. */
  pause(fence: Fence): Promise<void>
  /** Asks it to go on. Twice is once. */
  resume(fence: Fence): Promise<void>
}
