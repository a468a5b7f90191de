import type { NotifierConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { childEnvironment, findProgram } from '../process/environment.js'
import { runProgram } from '../process/run.js'
import type { Notifier, NotifierContext } from './port.js'
import { sayable } from './sayable.js'

const WITHIN_MS = 5_000

/** Runs a program with the notice as one line of JSON on its standard input; exit 0 means it was told. */
export function command(
  { command }: Extract<NotifierConfiguration, { kind: 'command' }>,
  { directory, secrets }: NotifierContext,
): Notifier {
  const [program = ''] = command
  const name = `notifier ${program}`
  return {
    async send(notice, signal) {
      const input = `${JSON.stringify(sayable(notice, secrets))}\n`
      const request = { name, command, cwd: directory, secrets, input, timeoutMs: WITHIN_MS }
      const { exitCode, stderr } = await runProgram({ ...request, graceMs: 500 }, signal)
      if (exitCode === 0) return
      throw new Error(`${name} ended with exit code ${exitCode}: ${excerpt(stderr, secrets) || 'it said nothing'}`)
    },
    reach: async () => `${await findProgram(program, childEnvironment(), directory)} is there`,
  }
}
