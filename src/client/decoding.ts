import type { Client } from '@temporalio/client'
import type { Payload, ProtoFailure } from '@temporalio/common'

/** What the server shows in the raw answers: decrypted where that is needed, then as a value. */
export async function valueIn({ options }: Client, payload: Payload | null | undefined): Promise<unknown> {
  if (!payload) return undefined
  const { payloadConverter } = options.loadedDataConverter
  return payloadConverter.fromPayload(await decoded({ options }, payload))
}

/** The message of a failure in a raw answer. */
export async function messageIn(
  { options }: Client,
  failure: ProtoFailure | null | undefined,
): Promise<string | undefined> {
  if (!failure) return undefined
  const { payloadConverter, failureConverter } = options.loadedDataConverter
  const { encodedAttributes } = failure
  const plain = encodedAttributes
    ? { ...failure, encodedAttributes: await decoded({ options }, encodedAttributes) }
    : failure
  return failureConverter.failureToError(plain, payloadConverter).message
}

async function decoded({ options }: Pick<Client, 'options'>, payload: Payload): Promise<Payload> {
  let payloads = [payload]
  for (const codec of options.loadedDataConverter.payloadCodecs) payloads = await codec.decode(payloads)
  return payloads[0] ?? payload
}
