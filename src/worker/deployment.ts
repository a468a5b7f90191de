import { setTimeout as pause } from 'node:timers/promises'
import type { NativeConnection, WorkerDeploymentOptions } from '@temporalio/worker'
import { messageOf } from '../domain/failures.js'

const AGAIN_MS = 500
/** So long the server may take to hear of a build. */
const QUIET_MS = 10_000

const deploymentName = (project: string): string => `headgate-${project}`

/** A worker of one build: a run stays with the build that began it, through an approval wait too. */
export const pinnedTo = (project: string, buildId: string): WorkerDeploymentOptions => ({
  useWorkerVersioning: true,
  version: { deploymentName: deploymentName(project), buildId },
  defaultVersioningBehavior: 'PINNED',
})

/**
 * New runs begin on this build from here on, the first time that it is there: its worker may start again later, for the runs
 * that are left on it, and takes nothing from the builds after it. The server knows a build once its worker has asked for
 * work: until then it is asked again.
 */
export async function makeCurrent(
  connection: NativeConnection,
  namespace: string,
  { project, buildId }: { project: string; buildId: string },
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now()
  let told: string | undefined
  while (!signal.aborted) {
    try {
      if (await wasCurrent(connection, namespace, project, buildId))
        return onLine(`build ${buildId} goes on with what it has begun`)
      await connection.workflowService.setWorkerDeploymentCurrentVersion({
        ...{ namespace, deploymentName: deploymentName(project), buildId, identity: deploymentName(project) },
        // A queue that this build does not serve any more is not served by it: that is how an environment is taken away.
        ignoreMissingTaskQueues: true,
      })
      return onLine(`new runs begin on build ${buildId}; a run that is under way stays with its own`)
    } catch (error) {
      const why = messageOf(error)
      if (performance.now() - began > QUIET_MS && told !== why) {
        onLine(`no new run begins on build ${buildId}: ${why}`)
        told = why
      }
      await pause(AGAIN_MS, undefined, { signal }).catch(() => {})
    }
  }
}

/** Throws while the server does not know the build. */
async function wasCurrent(
  { workflowService }: NativeConnection,
  namespace: string,
  project: string,
  buildId: string,
): Promise<boolean> {
  const name = deploymentName(project)
  const { workerDeploymentInfo: known } = await workflowService.describeWorkerDeployment({
    namespace,
    deploymentName: name,
  })
  if (known?.routingConfig?.currentDeploymentVersion?.buildId === buildId) return false
  const mine = known?.versionSummaries?.find(({ deploymentVersion }) => deploymentVersion?.buildId === buildId)
  return Boolean(mine?.firstActivationTime?.seconds)
}
