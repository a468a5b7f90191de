import type { Fence } from '../../domain/fence.js'
import type { Target } from '../postgres/target.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'

/** Where a release's tool runs and its files are: on this machine, or in a new container of the release's image. */
export interface ToolHost {
  /** Paths are paths on this machine. */
  readonly isHere: boolean
  /** As `runProgram`; command, folder and variables are those of the host. */
  run(tag: string, request: RunRequest, signal: AbortSignal): Promise<ProgramResult>
  /** As `runFenced`. What it started is gone when this returns or throws. */
  runFenced(tag: string, request: RunRequest, fence: Fence): Promise<ProgramResult>
  /** Where a folder of the host's can be read on this machine; `{tag}` in it is replaced. Throws `PlanInvalid` where there is none. */
  folder(tag: string, path: string): Promise<string>
  /** What changes with any file of the release, where the host can tell at once. */
  stamp(tag: string): Promise<string | undefined>
  /** The same database by the address that it has there. */
  target(target: Target): Target
}

/** This machine. Which folder a tool runs in is its own choice. */
export const THIS_MACHINE: ToolHost = {
  isHere: true,
  run: (_, request, signal) => runProgram(request, signal),
  runFenced: (_, request, fence) => runFenced(request, fence),
  folder: async (tag, path) => path.replaceAll('{tag}', tag),
  stamp: async () => undefined,
  target: (target) => target,
}
