import { ContinueAsNew } from '@temporalio/workflow'
import { failure, messageOf } from '../domain/failures.js'

/** When an undo may run: in any state, or only while everything undone before it succeeded. */
export type UndoWhen = 'in any state' | 'once the database is proven'

interface Undo {
  title: string
  when: UndoWhen
  run: () => Promise<unknown>
}

/** Undos of one stage, registered before their steps: a step that timed out may still have happened. */
export class Saga {
  readonly #undos: Undo[] = []

  /** `title` is a verb phrase: it is read aloud when it fails. `run` succeeds when there is nothing to undo. */
  onFailure(title: string, when: UndoWhen, run: () => Promise<unknown>): void {
    this.#undos.push({ title, when, run })
  }

  /** Undoes newest first. An undo that needs a proven database is not attempted after another failed: what is paused stays paused. */
  async unwind(error: unknown): Promise<void> {
    const failed: string[] = []
    const skipped: string[] = []
    for (const undo of this.#undos.reverse()) {
      if (failed.length > 0 && undo.when === 'once the database is proven') {
        skipped.push(undo.title)
        continue
      }
      try {
        await undo.run()
      } catch (undoError) {
        failed.push(`could not ${undo.title} (${messageOf(undoError)})`)
      }
    }
    if (failed.length === 0) return
    const rest = skipped.length > 0 ? `; not attempted: ${skipped.join(', ')}` : ''
    throw failure('NeedsOperator', `after "${messageOf(error)}", ${failed.join('; ')}${rest}`, error)
  }
}

/** Runs `steps`; when they fail or are cancelled undoes them, newest first, then rethrows the original error. */
export async function withSaga<T>(steps: (saga: Saga) => Promise<T>): Promise<T> {
  const saga = new Saga()
  try {
    return await steps(saga)
  } catch (error) {
    // Continuing is not failing: without this line it compensates.
    if (error instanceof ContinueAsNew) throw error
    await saga.unwind(error)
    throw error
  }
}
