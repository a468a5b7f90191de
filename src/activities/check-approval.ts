import { findPlan, findRun } from '../adapters/journal/runs.js'
import { recordDecision } from '../adapters/journal/decisions.js'
import { verifySignature } from '../adapters/process/ssh-signature.js'
import { type ApprovalVerdict, DecisionMessage, signedText, whyStale } from '../domain/approval.js'
import { environmentOf } from '../domain/names.js'
import type { Plan, Requester } from '../domain/plan.js'
import { beating } from './heartbeat.js'
import { requireShape } from './require-shape.js'
import { type Dependencies, onSite, type Site } from './site.js'

/** Checks a decision against the worker's own policy and journals it, accepted or not. A rejection needs no signature: it is the safe direction. */
export const checkApproval =
  (dependencies: Dependencies) =>
  (runName: string, stage: number, decision: 'approve' | 'reject', said: DecisionMessage): Promise<ApprovalVerdict> =>
    beating(({ signal }) =>
      onSite(dependencies, environmentOf(runName), async (site) => {
        const message = requireShape(DecisionMessage, said)
        const run = await findRun(site.journal, runName)
        const plan = await findPlan(site.journal, run.planDigest ?? '')
        // The run's workflow asks this too; one of somebody else's would not.
        const stale = whyStale(message, run.planDigest ?? '')
        const claimed = { by: message.by, verified: false }
        const who =
          decision === 'reject'
            ? claimed
            : stale !== undefined
              ? { refusal: stale }
              : await identify(site, plan, { run: runName, stage, digest: run.planDigest ?? '', message }, signal)
        const verdict =
          'refusal' in who
            ? refused(message.by, who.refusal)
            : decision === 'reject'
              ? rejected(who)
              : judge(plan, run.requester, who)
        await recordDecision(site.journal, runName, {
          stage,
          decision,
          by: verdict.by,
          verified: verdict.verified,
          accepted: verdict.accepted,
          digest: run.planDigest ?? '',
          note: message.reason === undefined ? verdict.note : `${verdict.note}: ${message.reason}`,
        })
        return verdict
      }),
    )

interface Who {
  by: string
  verified: boolean
}

/** Who signed, by the worker's list of allowed signers; where there is none, the claim stands and is marked as one. */
async function identify(
  site: Site,
  plan: Plan,
  about: { run: string; stage: number; digest: string; message: DecisionMessage },
  signal: AbortSignal,
): Promise<Who | { refusal: string }> {
  const { approval } = site.configuration
  const allowedSigners = approval === 'none' ? undefined : approval.allowedSigners
  const { message, run, stage, digest } = about
  if (allowedSigners === undefined) {
    return plan.protected
      ? { refusal: 'this environment is protected: only signed approvals count, and no allowedSigners are configured' }
      : { by: message.by, verified: false }
  }
  if (message.signature === undefined || message.expires === undefined)
    return { refusal: 'only signed approvals count here: headgate approve --key FILE' }
  const { project, environment } = plan
  const text = signedText({ project, environment, run, stage, digest, decision: 'approve', expires: message.expires })
  const signer = await verifySignature(
    { text, signature: message.signature, principal: message.by, allowedSigners },
    signal,
  )
  return signer.ok ? { by: message.by, verified: true } : { refusal: signer.reason }
}

function judge({ approvers, fix }: Plan, requester: Requester, who: Who): ApprovalVerdict {
  if (approvers.from.length > 0 && !approvers.from.includes(who.by))
    return refused(who.by, `${who.by} is not one of the approvers: ${approvers.from.join(', ')}`)
  // A claim too: whoever means to approve what he asked for has to say in the configuration that this is how it is done.
  const asked = [requester.by, ...(fix ? [fix.by] : [])]
  if (!approvers.requesterMayApprove && asked.some((by) => isSame(by, who.by)))
    return {
      ...refused(who.by, `${who.by} asked for this run and may not approve it`),
      hint: own(fix ? 'cancel the fix, ask for it again' : 'cancel the run, deploy again'),
    }
  return {
    accepted: true,
    by: who.by,
    verified: who.verified,
    note: who.verified ? 'signature verified' : 'a claim, not verified',
  }
}

/** For somebody who works alone, as much as for a team. */
const own = (otherwise: string): string =>
  `let somebody else approve it; where who asks may approve, write approval: { requesterMayApprove: true }, ${otherwise}`

/** Names are claims: how they are written is no difference. */
const isSame = (one: string, other: string): boolean => one.trim().toLowerCase() === other.trim().toLowerCase()

const refused = (by: string, note: string): ApprovalVerdict => ({ accepted: false, by, verified: false, note })
const rejected = (who: Who): ApprovalVerdict => ({
  accepted: true,
  by: who.by,
  verified: who.verified,
  note: 'a claim, not verified',
})
