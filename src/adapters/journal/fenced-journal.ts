import { requireEpoch } from './epochs.js'
import { Journal, type Statement } from './journal.js'

/**
 * The journal as one attempt sees it. Each of its writes holds the epoch in the same transaction: an attempt that wakes
 * after another has taken over cannot record "gate closed" over the other's "gate open". Throws `FenceLost`.
 */
export class FencedJournal extends Journal {
  readonly #journal: Journal
  readonly #resource: string
  readonly #epoch: number

  constructor(journal: Journal, resource: string, epoch: number) {
    super(journal.target, journal.schema)
    this.#journal = journal
    this.#resource = resource
    this.#epoch = epoch
  }

  override read: Statement = (sql, values) => this.#journal.read(sql, values)

  override write<T>(work: (run: Statement) => Promise<T>): Promise<T> {
    return this.#journal.write(async (run) => {
      await requireEpoch(run, this.#resource, this.#epoch)
      return work(run)
    })
  }

  /** It is not the attempt's to close. */
  override async close(): Promise<void> {}
}
