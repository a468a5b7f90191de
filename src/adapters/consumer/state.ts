import { z } from 'zod'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import { jsonIn } from '../../domain/text.js'
import type { ConsumerState } from './port.js'

const Count = z.int().min(0)

/** Keys that we do not know are the consumer's own business; null stands for not known. */
const Answer = z.object({
  state: z.enum(['running', 'paused']),
  inFlight: Count,
  lag: Count.nullish(),
  processed: Count.nullish(),
})

/** Reads what the consumer `name` said of itself: one JSON object, alone or on the last line. Throws `ConsumerNotQuiet`. */
export function readState(name: string, text: string, secrets: readonly string[]): ConsumerState {
  const said = excerpt(text, secrets)
  const answer = Answer.safeParse(jsonIn(text))
  if (!answer.success) {
    const wrong = z.prettifyError(answer.error).replace(/\s+/g, ' ').replaceAll('✖ ', '')
    throw failure(
      'ConsumerNotQuiet',
      `consumer ${name} does not tell its state (${wrong}); it said: ${said || 'nothing'}`,
    )
  }
  const { state, inFlight, lag, processed } = answer.data
  return { state, inFlight, ...(lag == null ? {} : { lag }), ...(processed == null ? {} : { processed }) }
}

/** For people: `paused, 0 in flight, lag 12, 340 processed, 0 in its group`. */
export function describeState({ state, inFlight, lag, processed, members }: ConsumerState): string {
  const parts = [state, `${inFlight} in flight`]
  if (lag !== undefined) parts.push(`lag ${lag}`)
  if (processed !== undefined) parts.push(`${processed} processed`)
  if (members !== undefined) parts.push(`${members} in its group`)
  return parts.join(', ')
}
