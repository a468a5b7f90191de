import { readFile } from 'node:fs/promises'
import type { FailureCode } from '../../domain/failures.js'
import { type ServerProcess, type ServerRequest, startServerProcess, untilReady } from './server-process.js'

/** A program that stays up and says when it is ready. */
export interface AnnouncingRequest extends ServerRequest {
  /** What stands in its log by then. The log is a file of this start alone. */
  announcement: string
  /** What it means when it does not come. */
  code: FailureCode
  withinMs: number
}

/** Starts the program and returns once it has said that it is ready. Otherwise ends it and throws `code`, with the end of its log. */
export async function startAnnouncingProcess(request: AnnouncingRequest): Promise<ServerProcess> {
  const { announcement, logFile } = request
  const process = await startServerProcess(request)
  const answers = async (): Promise<boolean> => (await readFile(logFile, 'utf8')).includes(announcement)
  await untilReady(process, { ...request, answers })
  return process
}
