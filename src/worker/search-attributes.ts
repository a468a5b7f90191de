import type { NativeConnection } from '@temporalio/worker'
import { temporal } from '../client/temporal-proto.js'

const NAMES = [
  'HeadgateEnvironment',
  'HeadgateRun',
  'HeadgateStep',
  'HeadgateOutcome',
  'HeadgateTag',
  'HeadgateWaiting',
]
const KEYWORD = temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD

/** Whether the server knows every search attribute of ours: one that it does not know would block each workflow task. */
export async function knowsSearchAttributes(connection: NativeConnection, namespace: string): Promise<boolean> {
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace })
    return NAMES.every((name) => customAttributes?.[name] === KEYWORD)
  } catch {
    return false
  }
}

/** Registers what is missing. A server that does not let us is fine: runs do without then. */
export async function registerSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  if (await knowsSearchAttributes(connection, namespace)) return
  const searchAttributes = Object.fromEntries(NAMES.map((name) => [name, KEYWORD]))
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes }).catch(() => {})
}
