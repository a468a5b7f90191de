import { z } from 'zod'

/** What a person sends to approve or reject. In the Temporal UI `{ "by": "...", "digest": "..." }` is enough where unverified approvals count. */
export const DecisionMessage = z.strictObject({
  by: z.string().min(1).max(200),
  /** The plan's digest, or its first 12 characters or more. */
  digest: z.string().regex(/^[0-9a-f]{12,64}$/, 'the digest is 12 to 64 hex digits'),
  run: z.string().max(64).optional(),
  stage: z.int().optional(),
  reason: z.string().max(2_000).optional(),
  /** ISO time after which the signed statement is void. */
  expires: z.iso.datetime().optional(),
  /** Armored SSHSIG of the statement, namespace `headgate`. */
  signature: z.string().max(8_192).optional(),
})
export type DecisionMessage = z.infer<typeof DecisionMessage>

/** What a decision is about; the bytes that are signed are its JSON, keys in this order. */
export interface Statement {
  project: string
  environment: string
  run: string
  stage: number
  digest: string
  decision: 'approve' | 'reject'
  expires: string
}

/** The exact bytes that `ssh-keygen -Y sign -n headgate` signs. */
export function signedText(statement: Statement): string {
  const { project, environment, run, stage, digest, decision, expires } = statement
  return JSON.stringify({ project, environment, run, stage, digest, decision, expires })
}

/** Why a decision is not about the plan with this digest any more; undefined where it is. */
export function whyStale({ digest, expires }: DecisionMessage, planDigest: string): string | undefined {
  if (!planDigest.startsWith(digest))
    return `the plan's digest is ${planDigest.slice(0, 12)}, not ${digest.slice(0, 12)}`
  if (expires !== undefined && Date.parse(expires) < Date.now()) return `the statement expired at ${expires}`
  return undefined
}

export const SIGNATURE_NAMESPACE = 'headgate'

/** What the worker found out about an approval. */
export const ApprovalVerdict = z.strictObject({
  accepted: z.boolean(),
  by: z.string(),
  verified: z.boolean(),
  /** Why it was refused, or how it was verified. */
  note: z.string(),
  /** What to do about a refusal, where that is known. */
  hint: z.string().optional(),
})
export type ApprovalVerdict = z.infer<typeof ApprovalVerdict>

export const SteeringMessage = z.strictObject({
  by: z.string().min(1).max(200),
  reason: z.string().max(2_000).optional(),
  /** For `hold`: at the next step, with alarm, instead of the next point where the gate is open. */
  now: z.boolean().optional(),
})
export type SteeringMessage = z.infer<typeof SteeringMessage>
