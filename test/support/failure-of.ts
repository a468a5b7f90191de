import { type KnownFailure, knownFailure } from '../../src/domain/failures.js'

/** What it failed of, where that is one of ours; undefined where it did not fail. */
export const failureOf = async (work: Promise<unknown> | undefined): Promise<KnownFailure | undefined> =>
  knownFailure(
    await work?.then(
      () => undefined,
      (error: unknown) => error,
    ),
  )
