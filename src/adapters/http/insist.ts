import { setTimeout } from 'node:timers/promises'
import { type FailureCode, failure } from '../../domain/failures.js'
import { ask, type HttpAnswer, type HttpRequest, HttpUnanswered, whereOf } from './ask.js'

export interface Insisting {
  /** Who is asked, for messages. */
  who: string
  /** What it is when nobody says yes. */
  code: FailureCode
  signal: AbortSignal
  /** How long until the next try after `tried` others, in ms; undefined: it was the last. `status`: undefined where no answer came. */
  waitAfter: (tried: number, status: number | undefined) => number | undefined
  /** Answers beside 2xx that mean yes. */
  accepts?: readonly number[]
  /** What to do about a no. */
  hintOf?: (answer: HttpAnswer) => string | undefined
}

/** Asks until somebody answers 2xx, or what is accepted beside it, as long as `waitAfter` has it. Throws `code` with what was said last, and the signal's reason. */
export async function insist(
  request: HttpRequest,
  { who, code, signal, waitAfter, hintOf, accepts = [] }: Insisting,
): Promise<HttpAnswer> {
  for (let tried = 0; ; tried++) {
    const answer = await ask(request, signal).catch((error: unknown) => {
      if (error instanceof HttpUnanswered) return error
      throw error
    })
    const isAnswer = !(answer instanceof HttpUnanswered)
    if (isAnswer && ((answer.status >= 200 && answer.status < 300) || accepts.includes(answer.status))) return answer
    const wait = waitAfter(tried, isAnswer ? answer.status : undefined)
    if (wait === undefined) {
      const hint = isAnswer ? hintOf?.(answer) : undefined
      const what = `${who}: ${request.method} ${whereOf(request.url)}: ${isAnswer ? answer.shown : answer.message}`
      throw failure(code, what, undefined, hint === undefined ? {} : { hint })
    }
    await setTimeout(wait, undefined, { signal }).catch(() => {})
    signal.throwIfAborted()
  }
}
