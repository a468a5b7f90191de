import type { Fence } from '../../domain/fence.js'
import type { Target } from '../postgres/target.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'

/** Where a release's tool runs and its files are: on this machine, or in a new container of the release's image. */
export type ToolHost = HereHost | ImageHost

interface AnyHost {
  /** As `runProgram`; command, folder and variables are those of the host. */
  run(tag: string, request: RunRequest, signal: AbortSignal): Promise<ProgramResult>
  /** As `runFenced`. What it started is gone when this returns or throws. */
  runFenced(tag: string, request: RunRequest, fence: Fence): Promise<ProgramResult>
  /** Where a folder of the host's can be read on this machine; `{tag}` in it is replaced. Throws `PlanInvalid` where there is none. */
  folder(tag: string, path: string): Promise<string>
  /** The same database by the address that it has there. */
  target(target: Target): Target
}

/** Paths are paths on this machine. */
interface HereHost extends AnyHost {
  readonly isHere: true
}

/** Paths are paths in the image. */
export interface ImageHost extends AnyHost {
  readonly isHere: false
  /** The image's id: it changes with any file of the release. As `Migrator.image`. */
  image(tag: string, which: 'newest' | 'present'): Promise<string>
}

/** This machine. Which folder a tool runs in is its own choice. */
export const THIS_MACHINE: ToolHost = {
  isHere: true,
  run: (_, request, signal) => runProgram(request, signal),
  runFenced: (_, request, fence) => runFenced(request, fence),
  folder: async (tag, path) => path.replaceAll('{tag}', tag),
  target: (target) => target,
}
