import type { AutodeployConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { jsonIn } from '../../domain/text.js'
import { type RunRequest, runFenced, runProgram } from '../process/run.js'
import type { AutodeployContext, Held } from './port.js'
import { SaidState } from './said-state.js'

const ANSWER_MS = 30_000

/** Anything steered by three programs: hold, release, status. */
export function command(
  configuration: Extract<AutodeployConfiguration, { kind: 'command' }>,
  { directory, secrets }: AutodeployContext,
): Held {
  const calls = configuration.hold[0] ?? ''
  const who = `autodeploy ${calls}`
  const request = (verb: 'hold' | 'release' | 'status'): RunRequest => ({
    name: `${who}: ${verb}`,
    command: configuration[verb],
    cwd: directory,
    secrets,
    timeoutMs: ANSWER_MS,
  })
  const ended = (verb: string, exitCode: number, stderr: string): string =>
    `${who}: ${verb} ended with exit code ${exitCode}: ${excerpt(stderr, secrets) || 'it said nothing'}`
  const set = async (verb: 'hold' | 'release', fence: Fence): Promise<void> => {
    const { exitCode, stderr } = await runFenced(request(verb), fence)
    const code = verb === 'hold' ? 'AutodeployNotHeld' : 'AutodeployNotReleased'
    if (exitCode !== 0) throw failure(code, ended(verb, exitCode, stderr), undefined, { evidence: stderr })
  }
  return {
    calls,
    async state(signal) {
      const { exitCode, stdout, stderr } = await runProgram(request('status'), signal)
      if (exitCode !== 0) throw failure('AutodeployNotHeld', ended('status', exitCode, stderr))
      const said = SaidState.safeParse(jsonIn(stdout))
      if (said.success) return said.data
      throw failure(
        'AutodeployNotHeld',
        `${who} does not tell its state: ${excerpt(stdout, secrets) || 'it said nothing'}`,
      )
    },
    hold: (fence) => set('hold', fence),
    release: (fence) => set('release', fence),
  }
}
