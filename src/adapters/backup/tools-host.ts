import type { ToolsConfiguration } from '../../domain/configuration.js'
import type { Fence } from '../../domain/fence.js'
import { ANY_TAG } from '../process/compose.js'
import { hostOf } from '../process/host-of.js'
import type { RunRequest } from '../process/run.js'
import type { ToolHost } from '../process/tool-host.js'

/** Where PostgreSQL's own programs run: here, or in a new container of an image or of a Compose service that has them. */
export type ToolsHost = Pick<ToolHost, 'isHere' | 'target'> & {
  run(request: RunRequest, signal: AbortSignal): ReturnType<ToolHost['run']>
  runFenced(request: RunRequest, fence: Fence): ReturnType<ToolHost['runFenced']>
}

/** `sources`: a folder for what is copied out of images. Asks nobody yet. */
export function toolsHostOf(tools: ToolsConfiguration | undefined, sources: string): ToolsHost {
  const host = hostOf(tools ?? {}, sources)
  // They are the same for each release: who reads Compose files with a tag in them may have any.
  return {
    isHere: host.isHere,
    target: (target) => host.target(target),
    run: (request, signal) => host.run(ANY_TAG, request, signal),
    runFenced: (request, fence) => host.runFenced(ANY_TAG, request, fence),
  }
}
