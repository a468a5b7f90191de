import { callService } from './call-service.js'
import { checkApproval } from './check-approval.js'
import { conclude, notify } from './conclude.js'
import { holdAutodeploy } from './hold-autodeploy.js'
import { initDatabase } from './init-database.js'
import { lookActivities } from './look.js'
import { lookStranded } from './look-stranded.js'
import { migrateStage } from './migrate-stage.js'
import { pauseConsumers } from './pause-consumers.js'
import { confirmPlan, plan } from './plan.js'
import { planFix } from './plan-fix.js'
import { preflight } from './preflight.js'
import { putBack } from './put-back.js'
import { quiesceWriters } from './quiesce-writers.js'
import { observeRecovered, openRecovery } from './recover.js'
import { redeployPrevious } from './redeploy-previous.js'
import { releaseAutodeploy } from './release-autodeploy.js'
import { releaseWriters } from './release-writers.js'
import { repairHistory } from './repair-history.js'
import { restartServices } from './restart-services.js'
import { restoreBackup } from './restore-backup.js'
import { resumeConsumers } from './resume-consumers.js'
import type { Dependencies } from './site.js'
import { smoke } from './smoke.js'
import { takeBackup } from './take-backup.js'
import { tidyBackups } from './tidy-backups.js'
import { verify } from './verify.js'

export { newestReport, reportOf } from './journaled-report.js'
export type { Dependencies, Site } from './site.js'

/** One activity type per step: replay does not compare arguments. */
export function createActivities(dependencies: Dependencies) {
  return {
    plan: plan(dependencies),
    preflight: preflight(dependencies),
    confirmPlan: confirmPlan(dependencies),
    checkApproval: checkApproval(dependencies),
    holdAutodeploy: holdAutodeploy(dependencies),
    releaseAutodeploy: releaseAutodeploy(dependencies),
    pauseConsumers: pauseConsumers(dependencies),
    quiesceWriters: quiesceWriters(dependencies),
    takeBackup: takeBackup(dependencies),
    migrateStage: migrateStage(dependencies),
    verify: verify(dependencies),
    restartServices: restartServices(dependencies),
    smoke: smoke(dependencies),
    resumeConsumers: resumeConsumers(dependencies),
    redeployPrevious: redeployPrevious(dependencies),
    releaseWriters: releaseWriters(dependencies),
    putBack: putBack(dependencies),
    conclude: conclude(dependencies),
    notify: notify(dependencies),
    tidyBackups: tidyBackups(dependencies),
    restoreBackup: restoreBackup(dependencies),
    repairHistory: repairHistory(dependencies),
    initDatabase: initDatabase(dependencies),
    openRecovery: openRecovery(dependencies),
    planFix: planFix(dependencies),
    lookStranded: lookStranded(dependencies),
    observeRecovered: observeRecovered(dependencies),
    ...lookActivities(dependencies),
  }
}

export type Activities = ReturnType<typeof createActivities>

/** Of a worker on another host, which serves services alone. */
export const createServiceActivities = (dependencies: Dependencies) => ({ callService: callService(dependencies) })

export type ServiceActivities = ReturnType<typeof createServiceActivities>
