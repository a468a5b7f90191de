import { Client, Connection } from '@temporalio/client'
import type { Scene } from './scene.js'

/** What Temporal says of one execution. */
export interface Execution {
  workflowId: string
  type: string
  /** `RUNNING`, `COMPLETED`, `FAILED`, ... */
  status: string
  startedAt: string
  closedAt?: string
  /** From the result, or from what it failed with. */
  outcome?: string
  /** Result or failure, as text: reason, next command, databases that are kept. */
  said: string
  /** Whether it shows what it waits for. */
  waits: boolean
  /** A workflow task that does not get on. */
  stuck: boolean
  /** The whole history as text, for a look at what must not be in it. */
  history: string
}

/** Every execution of the scene's runs, the oldest first; not those that only looked. */
export async function executionsOf({ temporal }: Scene): Promise<Execution[]> {
  const connection = await Connection.connect({ address: temporal.address })
  try {
    const client = new Client({ connection, namespace: temporal.namespace })
    const found: Execution[] = []
    for await (const { workflowId, runId } of client.workflow.list({
      query: `WorkflowId STARTS_WITH '${temporal.runs}'`,
    }))
      if (!workflowId.includes('/look/')) found.push(await executionOf(client, workflowId, runId))
    return found.sort((a, b) => a.startedAt.localeCompare(b.startedAt))
  } finally {
    await connection.close()
  }
}

async function executionOf(client: Client, workflowId: string, runId: string): Promise<Execution> {
  const handle = client.workflow.getHandle(workflowId, runId)
  const { raw, status, type, startTime, closeTime, searchAttributes } = await handle.describe()
  const history = await handle.fetchHistory()
  const last = readable(history.events?.at(-1) ?? {})
  // One that closes as cancelled leaves nothing behind but what it showed.
  const { HeadgateOutcome: [shown] = [] } = searchAttributes
  const outcome = /\\?"outcome\\?":\\?"([a-z-]+)\\?"/.exec(last)?.[1] ?? (typeof shown === 'string' ? shown : undefined)
  return {
    ...{ workflowId, type, status: status.name, startedAt: startTime.toISOString(), said: last },
    ...(closeTime ? { closedAt: closeTime.toISOString() } : {}),
    ...(outcome === undefined ? {} : { outcome }),
    waits: /waiting|held/.test(JSON.stringify(raw.workflowExecutionInfo?.searchAttributes ?? {})),
    stuck: (raw.pendingWorkflowTask?.attempt ?? 0) > 3,
    history: readable(history),
  }
}

/** As JSON, with what is carried as bytes as the text that it is. */
const readable = (value: unknown): string => JSON.stringify(plain(value))

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  if (Array.isArray(value)) return value.map(plain)
  if (!value || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
}
