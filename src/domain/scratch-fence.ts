import { failure } from './failures.js'
import { Fence } from './fence.js'

/** For a database that nobody else knows of, made and dropped by who holds it: there is nothing to be fenced off. */
export class ScratchFence extends Fence {
  override readonly epoch = 1
  override readonly applicationName: string
  override readonly signal: AbortSignal
  readonly #onProgress: (text: string) => void

  constructor(applicationName: string, onProgress: (text: string) => void, signal: AbortSignal) {
    super()
    this.applicationName = applicationName
    this.#onProgress = onProgress
    this.signal = signal
  }

  override async check(): Promise<void> {
    this.signal.throwIfAborted()
  }

  override async recordProcess(): Promise<void> {}

  override async recordContainer(): Promise<void> {}

  override async forgetContainer(): Promise<void> {}

  /** Nothing but the database is scratch. */
  override async recordServiceChange(service: string): Promise<never> {
    throw failure('GuardFailed', `service ${service} is not to be changed beside a scratch database`)
  }

  override progress(text: string): void {
    this.#onProgress(text)
  }
}
