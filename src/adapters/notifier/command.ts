import type { NotifierConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { runProgram } from '../process/run.js'
import type { Notifier, NotifierContext } from './port.js'
import { sayable } from './sayable.js'

const WITHIN_MS = 5_000

/** Runs a program with the notice as one line of JSON on its standard input; exit 0 means it was told. */
export function command(
  configuration: Extract<NotifierConfiguration, { kind: 'command' }>,
  { directory, secrets }: NotifierContext,
): Notifier {
  const name = `notifier ${configuration.command[0]}`
  return {
    async send(notice, signal) {
      const input = `${JSON.stringify(sayable(notice, secrets))}\n`
      const request = { name, command: configuration.command, cwd: directory, secrets, input, timeoutMs: WITHIN_MS }
      const { exitCode, stderr } = await runProgram({ ...request, graceMs: 500 }, signal)
      if (exitCode === 0) return
      throw new Error(`${name} ended with exit code ${exitCode}: ${excerpt(stderr, secrets) || 'it said nothing'}`)
    },
  }
}
