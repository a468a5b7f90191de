import type { Fence } from '../../domain/fence.js'

/** What a kind gets beside its own configuration. */
export interface ServiceContext {
  /** Where programs run: the folder of headgate.yaml. */
  directory: string
  /** Known secret values, redacted wherever something is shown. */
  secrets: readonly string[]
}

/** What is deployed with an image tag and restarted. */
export interface Service {
  readonly name: string
  /** False where its kind has no way to stop it: then it cannot be quiesced. */
  readonly canStop: boolean
  /** The tag that runs now or ran last; undefined when nothing was ever deployed. Changes nothing. */
  current(signal: AbortSignal): Promise<string | undefined>
  /** Whether it runs now; undefined where the kind cannot tell. Changes nothing. */
  isRunning(signal: AbortSignal): Promise<boolean | undefined>
  /** Whether `tag` could be deployed from here now; undefined where the kind cannot tell. `image`: as that image, whatever the tag names now. */
  exists(tag: string, signal: AbortSignal, image?: string): Promise<boolean | undefined>
  /**
   * What runs now, or `tag`, is made of: one word that changes with any image. `newest` asks the registry first, and brings it
   * here; `present` asks only for what is not here. Absent where the kind cannot tell. Throws `ToolMissing` without the image.
   */
  currentImage?(signal: AbortSignal): Promise<string | undefined>
  imageOf?(tag: string, which: 'newest' | 'present'): Promise<string>
  /** Who would undo a stop or a deploy that he knows nothing of, in words; asked before anything is touched. Changes nothing. */
  undoneBy?(signal: AbortSignal): Promise<string[]>
  /** Brings `tag` into service, started. Twice is once. `image`: what it must be, also where the tag names another one by now. */
  deploy(tag: string, fence: Fence, image?: string): Promise<void>
  /** Starts what is deployed. Twice is once. */
  start(fence: Fence): Promise<void>
  /** Stops it; returns when its processes are gone. Twice is once. */
  stop(fence: Fence): Promise<void>
}
