import { Fence, type RecordedContainer } from '../../src/domain/fence.js'

/** A fence that nobody takes over, for tests. */
export class OpenFence extends Fence {
  override readonly epoch: number
  override readonly applicationName: string
  override readonly signal: AbortSignal
  readonly progressed: string[] = []
  readonly processes: { pid: number; startTime: string }[] = []
  readonly containers: RecordedContainer[] = []
  checks = 0

  constructor(options: { epoch?: number; applicationName?: string; signal?: AbortSignal } = {}) {
    super()
    this.epoch = options.epoch ?? 1
    this.applicationName = options.applicationName ?? `hg:00000000:${this.epoch}:test`
    this.signal = options.signal ?? new AbortController().signal
  }

  override async check(): Promise<void> {
    this.checks += 1
    this.signal.throwIfAborted()
  }

  override async recordProcess(pid: number, startTime: string): Promise<void> {
    this.processes.push({ pid, startTime })
  }

  override async recordContainer(container: RecordedContainer): Promise<void> {
    this.containers.push(container)
  }

  override async forgetContainer({ name }: RecordedContainer): Promise<void> {
    this.containers.splice(0, Number.POSITIVE_INFINITY, ...this.containers.filter((one) => one.name !== name))
  }

  override async recordServiceChange(): Promise<never> {
    throw new Error('an open fence has no journal')
  }

  override progress(text: string): void {
    this.progressed.push(text)
  }
}
