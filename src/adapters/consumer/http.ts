import type { ConsumerConfiguration } from '../../domain/configuration.js'
import type { Fence } from '../../domain/fence.js'
import type { HttpRequest } from '../http/ask.js'
import { insist } from '../http/insist.js'
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
  const who = `consumer ${name}`
  const request = (method: 'GET' | 'POST', url: string): HttpRequest => ({
    method,
    url,
    headers,
    timeoutMs: TRY_MS,
    secrets,
  })

  const change = async (url: string, code: 'ConsumerNotQuiet' | 'ConsumerNotMoving', fence: Fence): Promise<void> => {
    await insist(
      { ...request('POST', url), before: () => fence.check() },
      { who, code, signal: fence.signal, waitAfter },
    )
  }

  return {
    name,
    async state(signal) {
      const answer = await insist(request('GET', configuration.status), {
        who,
        code: 'ConsumerNotQuiet',
        signal,
        waitAfter,
      })
      return readState(name, answer.body, [...secrets, ...Object.values(headers)])
    },
    pause: (fence) => change(configuration.pause, 'ConsumerNotQuiet', fence),
    resume: (fence) => change(configuration.resume, 'ConsumerNotMoving', fence),
  }
}

/** Up to three times until somebody answers who is not broken. */
const waitAfter = (tried: number, status: number | undefined): number | undefined =>
  status === undefined || status >= 500 ? WAITS_MS[tried] : undefined
