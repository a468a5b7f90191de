import type { CommandCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { failedWith, messageOf } from '../../domain/failures.js'
import { runProgram } from '../process/run.js'
import { filled, unknownIn } from './placeholders.js'
import type { Check, CheckContext, CheckResult, CheckSetting } from './port.js'

const CLEAN_MS = 60_000

/** A program of the team's: exit 0 is a yes. `clean`, where there is one, runs after each try, whatever came of it: what it wrote goes again. */
export function command(configuration: CommandCheck, { directory, secrets }: CheckSetting): Check {
  const { command: program, clean, within } = configuration
  const name = configuration.name ?? `command ${program[0]}`
  const call = async (
    words: readonly string[],
    timeoutMs: number,
    context: CheckContext,
    signal: AbortSignal,
  ): Promise<string | undefined> => {
    const request = {
      ...{ name, command: words.map((word) => filled(word, context)), cwd: directory, secrets, timeoutMs },
      env: { HEADGATE_RUN: context.run, HEADGATE_TAG: context.tag ?? '' },
    }
    try {
      const { exitCode, stdout, stderr } = await runProgram(request, signal)
      if (exitCode === 0) return undefined
      return `exit ${exitCode}: ${excerpt(stderr.trim() || stdout.trim(), secrets) || 'it said nothing'}`
    } catch (error) {
      if (!failedWith(error, 'ToolMissing') && !failedWith(error, 'ToolTimedOut')) throw error
      return excerpt(messageOf(error), secrets)
    }
  }
  return {
    name,
    withinMs: within,
    successes: 1,
    onlyInRun: 'it runs a program of yours',
    async run(context, signal): Promise<CheckResult> {
      signal.throwIfAborted()
      const missing = unknownIn([...program, ...(clean ?? [])], context)
      if (missing !== undefined) return result(name, missing)
      const said = call(program, within, context, signal)
      if (clean === undefined) return result(name, await said)
      // Also where the time was over, or somebody stopped it.
      const cleaned = (): Promise<string | undefined> => call(clean, CLEAN_MS, context, new AbortController().signal)
      const [wrong, left] = await said.then(
        async (found) => [found, await cleaned()] as const,
        async (error) => {
          await cleaned()
          throw error
        },
      )
      return result(name, wrong ?? (left === undefined ? undefined : `clean: ${left}`))
    },
  }
}

const result = (name: string, wrong: string | undefined): CheckResult => ({
  name,
  ok: wrong === undefined,
  found: wrong ?? 'exit 0',
})
