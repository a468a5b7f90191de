import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { type RunRequest, runFenced, runProgram } from '../process/run.js'
import type { Consumer, ConsumerContext } from './port.js'
import { readState } from './state.js'

/** How long one answer to `status` may take: tools on a Java machine need seconds to start. */
const STATUS_MS = 30_000

/** A consumer steered by three programs: pause, resume, status. */
export function command(
  name: string,
  configuration: Extract<ConsumerConfiguration, { kind: 'command' }>,
  { directory, secrets }: ConsumerContext,
): Consumer {
  const request = (verb: 'pause' | 'resume' | 'status', timeoutMs: number): RunRequest => ({
    name: `consumer ${name}: ${verb}`,
    command: configuration[verb],
    cwd: directory,
    secrets,
    timeoutMs,
  })

  const change = async (verb: 'pause' | 'resume', fence: Fence): Promise<void> => {
    const { exitCode, stderr } = await runFenced(request(verb, configuration.within), fence)
    const code = verb === 'pause' ? 'ConsumerNotQuiet' : 'ConsumerNotMoving'
    if (exitCode !== 0) throw failure(code, ended(name, verb, exitCode, stderr), undefined, { evidence: stderr })
  }

  return {
    name,
    async state(signal) {
      const status = request('status', Math.min(configuration.within, STATUS_MS))
      const { exitCode, stdout, stderr } = await runProgram(status, signal)
      if (exitCode !== 0) throw failure('ConsumerNotQuiet', ended(name, 'status', exitCode, stderr))
      return readState(name, stdout, secrets)
    },
    pause: (fence) => change('pause', fence),
    resume: (fence) => change('resume', fence),
  }
}

const ended = (name: string, verb: string, exitCode: number, stderr: string): string =>
  `consumer ${name}: ${verb} ended with exit code ${exitCode}: ${excerpt(stderr) || 'it said nothing'}`
