import { type FailureCode, failure, knownFailure, messageOf } from '../domain/failures.js'

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

/** Throws what failed: one failure as it is, several as one of `code` that tells of each. */
export function throwTogether(code: FailureCode, failed: readonly unknown[]): void {
  if (failed.length === 0) return
  if (failed.length === 1) throw failed[0]
  const evidence = failed.flatMap((error) => knownFailure(error)?.detail.evidence ?? []).join('\n')
  throw failure(code, failed.map(messageOf).join('; '), undefined, evidence === '' ? {} : { evidence })
}
