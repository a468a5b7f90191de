import { setTimeout } from 'node:timers/promises'
import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { ask, type HttpAnswer, type HttpRequest, HttpUnanswered, whereOf } from '../http/ask.js'
import type { Consumer, ConsumerContext } from './port.js'
import { readState } from './state.js'

const TRY_MS = 5_000
/** Before the second try and the third: enough for a connection that broke; what takes longer is Temporal's to retry. */
const WAITS_MS = [200, 1_000]

/** A consumer with three URLs: POST to pause, POST to resume, GET for its state. */
export function http(
  name: string,
  configuration: Extract<ConsumerConfiguration, { kind: 'http' }>,
  { secrets }: ConsumerContext,
): Consumer {
  const { headers } = configuration
  const request = (method: 'GET' | 'POST', url: string): HttpRequest => ({
    method,
    url,
    headers,
    timeoutMs: TRY_MS,
    secrets,
  })

  const change = async (url: string, code: 'ConsumerNotQuiet' | 'ConsumerNotMoving', fence: Fence): Promise<void> => {
    await insist({ ...request('POST', url), before: () => fence.check() }, name, code, fence.signal)
  }

  return {
    name,
    async state(signal) {
      const answer = await insist(request('GET', configuration.status), name, 'ConsumerNotQuiet', signal)
      return readState(name, answer.body, [...secrets, ...Object.values(headers)])
    },
    pause: (fence) => change(configuration.pause, 'ConsumerNotQuiet', fence),
    resume: (fence) => change(configuration.resume, 'ConsumerNotMoving', fence),
  }
}

/** Asks up to three times until somebody answers who is not broken. Anything but 2xx is `code`. */
async function insist(
  request: HttpRequest,
  name: string,
  code: 'ConsumerNotQuiet' | 'ConsumerNotMoving',
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const what = `consumer ${name}: ${request.method} ${whereOf(request.url)}`
  for (let tried = 0; ; tried++) {
    const answer = await ask(request, signal).catch((error: unknown) => {
      if (error instanceof HttpUnanswered) return error
      throw error
    })
    if (!(answer instanceof HttpUnanswered) && answer.status >= 200 && answer.status < 300) return answer
    const said = answer instanceof HttpUnanswered ? answer.message : answer.shown
    const wait = answer instanceof HttpUnanswered || answer.status >= 500 ? WAITS_MS[tried] : undefined
    if (wait === undefined) throw failure(code, `${what}: ${said}`)
    await setTimeout(wait, undefined, { signal }).catch(() => {})
    signal.throwIfAborted()
  }
}
