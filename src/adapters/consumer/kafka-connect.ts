import { z } from 'zod'
import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { jsonIn } from '../../domain/text.js'
import { type HttpAnswer, type HttpRequest, whereOf } from '../http/ask.js'
import { insist } from '../http/insist.js'
import type { Consumer, ConsumerContext } from './port.js'

const TRY_MS = 5_000
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2_000
/** A look is repeated by whoever proves something. */
const LOOKED_WITHIN_MS = 5_000
/** The cluster shares its work out anew, or the worker that was asked could not ask the leader. */
const TRY_AGAIN = new Set([409, 500, 502, 503, 504])

/** `GET /connectors/{name}/status` (Kafka's documentation, *Kafka Connect*, REST API). */
const Status = z.object({
  connector: z.object({ state: z.string(), trace: z.string().optional() }),
  tasks: z.array(z.object({ id: z.int(), state: z.string(), trace: z.string().optional() })),
})
type Status = z.infer<typeof Status>
type Code = 'ConsumerNotQuiet' | 'ConsumerNotMoving'

const TOO_OLD = 'Connect stops connectors since 3.5: with an older one write by: pause'
const QUIET = new Set(['PAUSED', 'STOPPED'])

/** Connectors of a Kafka Connect cluster, by its REST interface. A state counts where the connector and each of its tasks have it. */
export function kafkaConnect(
  name: string,
  { url, connectors, by, headers, within }: Extract<ConsumerConfiguration, { kind: 'kafka-connect' }>,
  { secrets }: ConsumerContext,
): Consumer {
  const who = `consumer ${name}`
  const hidden = [...secrets, ...Object.values(headers)]
  const at = (connector: string, path: string): string =>
    `${url.replace(/\/+$/, '')}/connectors/${encodeURIComponent(connector)}/${path}`
  const request = (method: 'GET' | 'PUT', where: string): HttpRequest => ({
    ...{ method, url: where, headers, timeoutMs: TRY_MS, secrets },
  })

  const statusOf = async (connector: string, signal: AbortSignal): Promise<Status> => {
    const where = request('GET', at(connector, 'status'))
    const answer = await insist(where, {
      ...{ who, code: 'ConsumerNotQuiet', signal },
      waitAfter: trying(LOOKED_WITHIN_MS),
    })
    const status = Status.safeParse(jsonIn(answer.body))
    if (status.success) return status.data
    throw failure(
      'ConsumerNotQuiet',
      `consumer ${name}: ${whereOf(where.url)} is no Kafka Connect: it said ${answer.shown}`,
    )
  }
  const change = async (
    connector: string,
    verb: 'stop' | 'pause' | 'resume',
    code: Code,
    fence: Fence,
  ): Promise<void> => {
    const put = { ...request('PUT', at(connector, verb)), before: () => fence.check() }
    // What Connect itself says has a code of its own.
    const hintOf = ({ status, body }: HttpAnswer): string | undefined =>
      verb === 'stop' && status === 404 && !body.includes('"error_code"') ? TOO_OLD : undefined
    await insist(put, { who, code, signal: fence.signal, waitAfter: trying(within), hintOf })
  }

  return {
    name,
    async state(signal) {
      const states = await Promise.all(
        connectors.map(async (connector) => stateIn(name, connector, await statusOf(connector, signal), hidden)),
      )
      const [first = 'paused'] = states
      if (states.every((state) => state === first)) return { state: first, inFlight: 0 }
      // As one they are paused and resumed: who resumed them would wake what somebody had paused.
      throw failure(
        'ConsumerNotQuiet',
        `consumer ${name}: ${connectors.map((connector, index) => `${connector} is ${states[index]}`).join(', ')}: pause or resume all, or write them as consumers of their own`,
      )
    },
    async pause(fence) {
      for (const connector of connectors) await change(connector, by, 'ConsumerNotQuiet', fence)
    },
    async resume(fence) {
      const failed: Error[] = []
      // One that is gone keeps no other paused.
      for (const connector of connectors)
        await change(connector, 'resume', 'ConsumerNotMoving', fence).catch((error: Error) => {
          if (!failedWith(error, 'ConsumerNotMoving')) throw error
          failed.push(error)
        })
      const [first] = failed
      if (first) throw failed.length === 1 ? first : failure('ConsumerNotMoving', failed.map(messageOf).join('; '))
    },
  }
}

/** Throws `ConsumerNotQuiet` for one that is neither, on its way, or failed: nobody can say what it does. */
function stateIn(name: string, connector: string, status: Status, hidden: readonly string[]): 'running' | 'paused' {
  const { state } = status.connector
  const tasks = status.tasks.map((task) => task.state)
  if (QUIET.has(state) && tasks.every((one) => QUIET.has(one))) return 'paused'
  if (state === 'RUNNING' && tasks.length > 0 && tasks.every((one) => one === 'RUNNING')) return 'running'
  const found = [`connector ${state}`, ...status.tasks.map((task) => `task ${task.id} ${task.state}`)]
  const trace = [status.connector, ...status.tasks].find((one) => one.state === 'FAILED')?.trace?.split('\n')[0]
  const why = trace === undefined ? '' : `: ${excerpt(trace, hidden)}`
  throw failure(
    'ConsumerNotQuiet',
    `consumer ${name}: ${connector}: ${found.join(', ')}${tasks.length === 0 ? ', no tasks' : ''}${why}`,
  )
}

/** For as long as there is time, where another answer may come. */
function trying(withinMs: number): (tried: number, status: number | undefined) => number | undefined {
  const deadline = performance.now() + withinMs
  return (tried, status) => {
    const wait = Math.min(FIRST_WAIT_MS * 2 ** tried, LONGEST_WAIT_MS)
    const mayChange = status === undefined || TRY_AGAIN.has(status)
    return mayChange && performance.now() + wait <= deadline ? wait : undefined
  }
}
