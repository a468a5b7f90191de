import type { Client } from '@temporalio/client'
import type { Payload, ProtoFailure } from '@temporalio/common'
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/index.js'

/** What the server shows in the raw answers: decrypted where that is needed, then as a value. */
export async function valueIn({ options }: Client, payload: Payload | null | undefined): Promise<unknown> {
  if (!payload) return undefined
  const { payloadConverter, payloadCodecs } = options.loadedDataConverter
  let payloads = [payload]
  for (const codec of payloadCodecs) payloads = await codec.decode(payloads)
  return payloadConverter.fromPayload(payloads[0] ?? payload)
}

/** The message of a failure in a raw answer; its details and causes are encrypted by themselves. */
export async function messageIn(
  { options }: Client,
  failure: ProtoFailure | null | undefined,
): Promise<string | undefined> {
  return (await decodeOptionalFailureToOptionalError(options.loadedDataConverter, failure))?.message
}
