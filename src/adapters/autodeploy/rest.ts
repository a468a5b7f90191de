import type { z } from 'zod'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { jsonIn } from '../../domain/text.js'
import type { HttpAnswer, HttpRequest } from '../http/ask.js'
import { insist } from '../http/insist.js'

const TRY_MS = 10_000
/** Before the second try and the third: what takes longer is Temporal's to retry. */
const WAITS_MS = [200, 1_000]

/** How one server is asked. */
export interface Rest {
  /** For messages. */
  who: string
  headers: Readonly<Record<string, string>>
  secrets: readonly string[]
  /** What to do about a no. */
  hintOf?: (answer: HttpAnswer) => string | undefined
  /** Further answers that mean yes. */
  accepts?: readonly number[]
}

/** GETs an answer of a form. Throws `AutodeployNotHeld`. */
export async function read<T>(
  { who, ...rest }: Rest,
  url: string,
  form: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const answer = await call({ who, ...rest }, 'GET', url, { signal, code: 'AutodeployNotHeld' })
  const parsed = form.safeParse(jsonIn(answer.body))
  if (parsed.success) return parsed.data
  throw failure(
    'AutodeployNotHeld',
    `${who}: GET ${new URL(url).pathname} is not answered in its form: ${answer.shown}`,
  )
}

/** A request that changes something, under the fence. Throws `AutodeployNotHeld`, and `AutodeployNotReleased` where it lets go. */
export async function change(
  rest: Rest,
  method: HttpRequest['method'],
  url: string,
  fence: Fence,
  { isRelease, json }: { isRelease: boolean; json?: unknown },
): Promise<void> {
  const code = isRelease ? 'AutodeployNotReleased' : 'AutodeployNotHeld'
  await call(rest, method, url, { signal: fence.signal, code, before: () => fence.check(), json })
}

function call(
  { who, headers, secrets, hintOf, accepts = [] }: Rest,
  method: HttpRequest['method'],
  url: string,
  {
    signal,
    code,
    ...more
  }: { signal: AbortSignal; code: 'AutodeployNotHeld' | 'AutodeployNotReleased' } & Pick<
    HttpRequest,
    'before' | 'json'
  >,
): Promise<HttpAnswer> {
  return insist(
    { method, url, headers, timeoutMs: TRY_MS, secrets, ...more },
    { who, code, signal, waitAfter, accepts, ...(hintOf === undefined ? {} : { hintOf }) },
  )
}

/** A server that is broken, or that one asks too much of, may be well again. */
const waitAfter = (tried: number, status: number | undefined): number | undefined =>
  status === undefined || status >= 500 || status === 429 ? WAITS_MS[tried] : undefined
