import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'
import type { Run } from './run.js'
import { withSaga } from './saga.js'

/** The whole run: the release's migrations, its image, proof. */
export const deploy = (input: unknown): Promise<Ending> => conduct('deploy', input, runbook)

/** The run without image or restart. */
export const migrate = (input: unknown): Promise<Ending> => conduct('migrate', input, runbook)

/** The runbook. Its order is the product: change it only with a replay table and an ADR. */
export async function runbook(run: Run): Promise<void> {
  if (run.isFirst) {
    await run.plan()
    await run.step('preflight')
  }

  for (const stage of run.stagesLeft()) {
    await run.openPoint()
    await run.approvalOf(stage)

    await withSaga(async (saga) => {
      if (run.holds) {
        saga.onFailure('let go on what deploys by itself', 'once the database is proven', () =>
          run.undo('release-autodeploy'),
        )
        await run.step('hold-autodeploy')
      }
      if (stage.phase !== 'image') {
        saga.onFailure('resume consumers', 'once the database is proven', () => run.undo('resume-consumers'))
        await run.step('pause-consumers')
        saga.onFailure('undo the quiesce', 'once the database is proven', () => run.undo('release-writers'))
        await run.step('quiesce-writers')

        saga.onFailure('put the database back', 'in any state', () => run.putBack())
        await run.step('backup')
        await run.step('migrate')
        await run.step('verify')
      }

      // The point of no return: from here on others may write, so undoing means the previous image, never a restore.
      saga.onFailure('redeploy the previous image', 'in any state', () => run.undo('redeploy-previous'))
      await run.step('restart-services')
      await run.step('smoke')
    })

    if (stage.phase !== 'image') await run.certainly('resume-consumers')
    if (run.holds) await run.certainly('release-autodeploy')
    run.stageDone()
  }
}
