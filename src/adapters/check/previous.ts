import { excerpt } from '../../domain/excerpt.js'
import { failedWith, messageOf } from '../../domain/failures.js'
import { libpqEnvironment, type Target, targetUrl } from '../postgres/target.js'
import { runProgram } from '../process/run.js'

/** Has the image of before, of which `tag` is told, use a database that is ahead of it. */
export type PreviousUse = (
  tag: string,
  target: Target,
  signal: AbortSignal,
) => Promise<{ isFine: boolean; said: string }>

/** By a program of the team's, run in `directory`. One that is missing or does not end in time does not use it either. */
export const previousUse =
  (
    { command, within }: { command: readonly string[]; within: number },
    { directory, secrets }: { directory: string; secrets: readonly string[] },
  ): PreviousUse =>
  async (tag, target, signal) => {
    const env = {
      ...libpqEnvironment(target, { applicationName: 'headgate rehearse', options: {} }),
      DATABASE_URL: targetUrl(target),
    }
    const filled = command.map((word) => word.replaceAll('{previous}', tag))
    const request = { name: 'rehearsal.previous', command: filled, cwd: directory, env, secrets, timeoutMs: within }
    try {
      const { exitCode, stdout, stderr } = await runProgram(request, signal)
      const said = excerpt(stderr.trim() || stdout.trim(), secrets)
      return { isFine: exitCode === 0, said: said || `exit ${exitCode}` }
    } catch (error) {
      if (!failedWith(error, 'ToolMissing') && !failedWith(error, 'ToolTimedOut')) throw error
      return { isFine: false, said: excerpt(messageOf(error), secrets) }
    }
  }
