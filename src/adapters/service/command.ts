import { z } from 'zod'
import type { ServiceConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import { Tag } from '../../domain/names.js'
import { jsonIn } from '../../domain/text.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from '../process/run.js'
import type { Service, ServiceContext } from './port.js'

type Verb = 'deploy' | 'start' | 'stop' | 'current' | 'status' | 'exists'

const LOOKS: ReadonlySet<Verb> = new Set(['current', 'status', 'exists'])

/** Keys that we do not know are the service's own business. */
const Status = z.object({ state: z.enum(['running', 'stopped']) })

/** How long a program that only looks may take. */
const LOOK_MS = 30_000
/** The exit code of `exists` that says no; any other than 0 is a failure to tell. */
const NO = 1

/** A service deployed, started and stopped by programs. They run again after any failure: each must succeed when there is nothing left to do. */
export function command(
  name: string,
  configuration: Extract<ServiceConfiguration, { kind: 'command' }>,
  { directory, secrets }: ServiceContext,
): Service {
  const { within } = configuration

  const request = (verb: Verb, tag?: string): RunRequest => {
    const template = configuration[verb]
    if (!template) throw failure('ConfigurationInvalid', `service ${name} has no ${verb} command`)
    return {
      name: `service ${name}: ${verb}`,
      command: substituted(`service ${name}: ${verb}`, template, tag),
      cwd: directory,
      secrets,
      timeoutMs: LOOKS.has(verb) ? Math.min(within, LOOK_MS) : within,
      // What deploy and start leave running is the service itself.
      ...(verb === 'deploy' || verb === 'start' ? { keepsChildren: true } : {}),
    }
  }
  const succeeded = (verb: Verb, { exitCode, stdout, stderr }: ProgramResult): void => {
    if (exitCode === 0) return
    const said = excerpt(stderr, secrets) || excerpt(stdout, secrets) || 'it said nothing'
    const what = `service ${name}: ${verb} ended with exit code ${exitCode}: ${said}`
    throw failure('ServiceFailed', what, undefined, { evidence: stderr || stdout })
  }

  return {
    name,
    canStop: configuration.start !== undefined && configuration.stop !== undefined,
    async current(signal) {
      if (!configuration.current) return undefined
      const result = await runProgram(request('current'), signal)
      succeeded('current', result)
      return tagIn(name, result.stdout, secrets)
    },
    async isRunning(signal) {
      if (!configuration.status) return undefined
      const result = await runProgram(request('status'), signal)
      succeeded('status', result)
      return isRunningBy(name, result.stdout, secrets)
    },
    async exists(tag, signal) {
      if (!configuration.exists) return undefined
      const result = await runProgram(request('exists', tag), signal)
      if (result.exitCode === NO) return false
      succeeded('exists', result)
      return true
    },
    async deploy(tag, fence) {
      succeeded('deploy', await runFenced(request('deploy', tag), fence))
    },
    async start(fence) {
      succeeded('start', await runFenced(request('start'), fence))
    },
    async stop(fence) {
      succeeded('stop', await runFenced(request('stop'), fence))
    },
  }
}

/** `{tag}` inside single arguments: a tag stays one argument, or a part of one, whatever is in it. */
function substituted(what: string, template: readonly string[], tag: string | undefined): string[] {
  if (tag !== undefined && !Tag.safeParse(tag).success) throw failure('InputInvalid', `${what}: that is not a tag`)
  return template.map((argument) => {
    if (!argument.includes('{tag}')) return argument
    if (tag === undefined) throw failure('ConfigurationInvalid', `${what} gets no {tag}`)
    return argument.replaceAll('{tag}', () => tag)
  })
}

function tagIn(name: string, printed: string, secrets: readonly string[]): string | undefined {
  const tag = printed.trim()
  if (tag === '') return undefined
  if (Tag.safeParse(tag).success) return tag
  throw failure('ServiceFailed', `service ${name}: current printed what is not a tag: ${excerpt(printed, secrets)}`)
}

function isRunningBy(name: string, printed: string, secrets: readonly string[]): boolean {
  const status = Status.safeParse(jsonIn(printed))
  if (status.success) return status.data.state === 'running'
  const said = excerpt(printed, secrets) || 'nothing'
  throw failure('ServiceFailed', `service ${name}: status printed neither running nor stopped: ${said}`)
}
