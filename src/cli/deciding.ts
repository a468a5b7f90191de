import { sign } from '../adapters/process/ssh-signature.js'
import { agentKeys, signWithAgent } from '../adapters/process/ssh-agent.js'
import { look } from '../client/look.js'
import { handleOf, type Place, requireWorker, stateOf, tell } from '../client/runs.js'
import { describeEnvironment } from '../adapters/configuration/index.js'
import { type DecisionMessage, type Statement, signedText } from '../domain/approval.js'
import { failure } from '../domain/failures.js'
import type { RunState } from '../domain/run.js'
import { declined, requesterOf } from './asking.js'
import type { Context } from './context.js'
import { decisionAsked, decisionLines } from './output-decision.js'
import { digestOf } from './starting.js'
import { requireNamed } from './steering.js'

export interface DecideOptions {
  reason?: string
  digest?: string
  by?: string
  yes?: boolean
}

/** A signed statement is void after this. */
const EXPIRES_MS = 10 * 60_000

/** Sends a decision about the stage that waits. Throws `ApprovalRefused` with the run's reason. */
export async function decide(
  context: Context,
  decision: 'approve' | 'reject',
  name: string,
  options: DecideOptions,
): Promise<number> {
  const asked = digestOf(options.digest)
  const place = await context.placeOf(name)
  const engine = await context.engine()
  await requireWorker(engine, place)
  const handle = await handleOf(engine, place)
  const state = await stateOf(handle)
  await requireNamed(engine, place, state)
  requireWaiting(state)
  if (asked !== undefined && !state.digest.startsWith(asked))
    throw failure(
      'ApprovalRefused',
      `the plan of ${state.run} is ${state.digest.slice(0, 12)} now, not ${asked.slice(0, 12)}`,
    )
  const report = await look(engine, place, { command: 'report', run: state.run }).catch(() => undefined)
  for (const text of decisionLines(state, report?.migrations ?? [])) context.terminal.note(text)
  if (decision === 'approve' && asked === undefined && !options.yes) await confirm(context, state)
  const message = await messageOf(context, place, state, decision, options)
  const answer = await tell(handle, decision, message)
  context.terminal.say(answer)
  context.terminal.say(`next  headgate watch ${state.run}`)
  context.terminal.answer({
    schema: `headgate/${decision}/1`,
    run: state.run,
    stage: state.stage,
    digest: state.digest,
    by: message.by,
    answer,
  })
  return 0
}

function requireWaiting(state: RunState): void {
  if (state.state === 'waiting') return
  const where = state.ending ? `it ended: ${state.ending.outcome}` : `it is at ${state.step}`
  throw failure('ApprovalRefused', `${state.run || 'the run'} does not wait for an approval: ${where}`, undefined, {
    hint: state.ending ? state.ending.next : `headgate watch ${state.environment}`,
  })
}

async function confirm({ terminal }: Context, state: RunState): Promise<void> {
  if (!terminal.interactive)
    throw failure('UsageInvalid', 'nobody can be asked here: say with --digest what you approve', undefined, {
      hint: `headgate approve ${state.run} --digest ${state.digest.slice(0, 12)}`,
    })
  const typed = await terminal.ask(decisionAsked(state))
  if (!/^y(es)?$/i.test(typed)) throw declined('not approved: the run goes on waiting')
}

async function messageOf(
  context: Context,
  place: Place,
  state: RunState,
  decision: 'approve' | 'reject',
  { by, reason }: DecideOptions,
): Promise<DecisionMessage> {
  const { project, environment, run, stage, digest } = state
  const expires = new Date(Date.now() + EXPIRES_MS).toISOString()
  const requester = await requesterOf(context, by)
  const statement: Statement = { project, environment, run, stage, digest, decision, expires }
  const signature = decision === 'approve' ? await signatureOf(context, place, signedText(statement)) : undefined
  return {
    by: requester.by,
    digest,
    run,
    stage,
    ...(reason === undefined ? {} : { reason: reason.slice(0, 2_000) }),
    ...(signature === undefined ? {} : { expires, signature }),
  }
}

/** With the key that was named; else, where only signatures count, with the agent's first. */
async function signatureOf(context: Context, place: Place, text: string): Promise<string | undefined> {
  const { sshKey } = context.settings
  const signal = new AbortController().signal
  if (sshKey !== undefined) return sign(text, sshKey, signal)
  if (!(await wantsSignature(context, place))) return undefined
  const [key] = await agentKeys(signal)
  if (key === undefined)
    throw failure(
      'ApprovalRefused',
      `only signed approvals count for ${place.environment}: add --key FILE, or load a key into the agent`,
      undefined,
      { hint: 'sign with a key of a configured approver: --key FILE, HEADGATE_SSH_KEY, or the SSH agent' },
    )
  return signWithAgent(text, key, signal)
}

async function wantsSignature(context: Context, place: Place): Promise<boolean> {
  const source = await context.source()
  if (source) {
    const { approval } = describeEnvironment(source, place.environment)
    if (typeof approval === 'object' && approval !== null && 'allowedSigners' in approval) return true
  }
  return (await look(await context.engine(), place, { command: 'database' })).protected
}
