import { type FailureCode, failedWith, failure, knownFailure, messageOf } from '../domain/failures.js'

/** Does `work` for one after the other: for the rest too, when one failed. Throws only when `signal` aborts. */
export async function each<T>(
  all: readonly T[],
  signal: AbortSignal,
  work: (one: T) => Promise<unknown>,
): Promise<{ done: T[]; failed: unknown[] }> {
  const done: T[] = []
  const failed: unknown[] = []
  for (const one of all) {
    try {
      await work(one)
      done.push(one)
    } catch (error) {
      signal.throwIfAborted()
      failed.push(error)
    }
  }
  return { done, failed }
}

/** As `each`, for all at once: returns when nothing of it goes on any more. */
export async function together<T>(
  all: readonly T[],
  signal: AbortSignal,
  work: (one: T) => Promise<unknown>,
): Promise<{ done: T[]; failed: unknown[] }> {
  const ended = await Promise.allSettled(all.map(work))
  const done = all.filter((_, index) => ended[index]?.status === 'fulfilled')
  const failed = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  if (failed.length > 0) signal.throwIfAborted()
  return { done, failed }
}

/** Throws what failed: one failure as it is, several as one that tells of each: of their code where they have the same one, else of `code`. */
export function throwTogether(code: FailureCode, failed: readonly unknown[]): void {
  if (failed.length === 0) return
  const lost = failed.find((error) => failedWith(error, 'FenceLost'))
  if (failed.length === 1 || lost) throw lost ?? failed[0]
  const [first, ...others] = failed.map(knownFailure)
  const isOne = first !== undefined && others.every((other) => other?.code === first.code)
  const evidence = failed.flatMap((error) => knownFailure(error)?.detail.evidence ?? []).join('\n')
  const text = failed.map(messageOf).join('; ')
  // What passes by itself does so for several, too.
  const hint = isOne ? first.detail.hint : undefined
  throw failure(isOne ? first.code : code, text, undefined, {
    ...(evidence === '' ? {} : { evidence }),
    ...(hint === undefined ? {} : { hint }),
  })
}
