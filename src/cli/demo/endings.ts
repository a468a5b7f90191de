/** How what was started is ended: newest first. */
export class Endings {
  #left: { of: string; end: () => Promise<void> }[] = []

  add(of: string, end: () => Promise<void>): void {
    this.#left.push({ of, end })
  }

  /** Leaves everything up. */
  forget(): void {
    this.#left = []
  }

  /** Ends it all; what cannot be ended is told of and does not keep the rest up. Twice is once. */
  async end(say: (line: string) => void): Promise<void> {
    for (const { of, end } of this.#left.splice(0).reverse()) {
      await end().catch((error: unknown) => say(`${of} could not be ended: ${String(error)}`))
    }
  }
}

/** Waits for both even when one fails: whatever comes up is known by then. Throws what the first failed with. */
export async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other])
  return Promise.all([one, other])
}
