import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'
import { withSaga } from './saga.js'

/** Puts a chosen backup in the place of the live database; what is live now is kept as quarantine. */
export const restore = (input: unknown): Promise<Ending> =>
  conduct('restore', input, async (run) => {
    if (run.isFirst) {
      await run.plan()
      await run.step('preflight')
    }
    for (const stage of run.stagesLeft()) {
      await run.approvalOf(stage)

      await withSaga(async (saga) => {
        if (run.holds) {
          saga.onFailure('let go on what deploys by itself', 'once the database is proven', () =>
            run.undo('release-autodeploy'),
          )
          await run.step('hold-autodeploy')
        }
        saga.onFailure('resume consumers', 'once the database is proven', () => run.undo('resume-consumers'))
        await run.step('pause-consumers')
        saga.onFailure('undo the quiesce', 'once the database is proven', () => run.undo('release-writers'))
        await run.step('quiesce-writers')
      })

      // From here on no undo is right for certain: where a step fails, what is paused stays paused and a person looks.
      await run.certainly('restore-backup')
      await run.certainly('restart-services')
      await run.certainly('resume-consumers')
      if (run.holds) await run.certainly('release-autodeploy')
      run.stageDone()
    }
  })
