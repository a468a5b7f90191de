import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import type { WorkflowHandle } from '@temporalio/client'
import { z } from 'zod'

/** A history as `temporal workflow show --output json` writes it, as far as anyone looks into it here. */
const StoredHistory = z.looseObject({
  events: z.array(
    z.looseObject({
      eventType: z.string(),
      activityTaskScheduledEventAttributes: z
        .looseObject({ activityType: z.looseObject({ name: z.string() }) })
        .optional(),
    }),
  ),
})
export type StoredHistory = z.infer<typeof StoredHistory>
export type History = ReturnType<typeof historyFromJSON>

/** Throws where the text is not a history. */
export const parseHistory = (text: string): StoredHistory => StoredHistory.parse(JSON.parse(text))

export const toHistory = (stored: StoredHistory): History => historyFromJSON(stored)

/** One execution's history without what belongs to the machine it ran on: who worked, on which queue, from which file. */
export async function recorded(handle: WorkflowHandle): Promise<StoredHistory> {
  return StoredHistory.parse(scrubbed(JSON.parse(historyToJSON(await handle.fetchHistory()))))
}

const DROPPED = new Set(['stackTrace', 'links', 'requestId', 'workerVersion', 'meteringMetadata', 'historySizeBytes'])

function scrubbed(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => scrubbed(one, key))
  if (key === 'identity') return 'worker'
  if (key === 'workflowId') return 'headgate/shop/staging'
  if (key === 'taskQueue' || key === 'stickyTaskQueue') return { name: 'headgate-shop-staging' }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !DROPPED.has(name))
      .map(([name, one]) => [name, scrubbed(one, name)]),
  )
}
