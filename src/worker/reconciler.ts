import { setTimeout as pause } from 'node:timers/promises'
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { findRun, openRunsOf, type RunRecord } from '../adapters/journal/runs.js'
import { type Carrying, carryingOf } from '../client/carrying.js'
import { recoverWorkflowId } from '../domain/names.js'
import { RECONCILER } from '../domain/run.js'
import { listEvents, listSteps, nowOf, recordEvent } from '../adapters/journal/steps.js'
import type { Resolved } from './journals.js'
import { pauseAlarm, pausedSince } from './pause-alarm.js'

export interface ReconcilerOptions {
  client: Client
  /** Names the Temporal the client is connected to. */
  engine: string
  project: string
  everyMs: number
  environments: readonly Place[]
  onLine: (line: string) => void
  /** Tells people. */
  tell: (run: RunRecord, text: string) => Promise<void>
}

/** One environment. */
export interface Place {
  environment: string
  queue: string
  /** Where its open runs are, and how long one may keep consumers paused, in ms. Asked at every look. */
  resolved: () => Promise<Resolved>
  /** Told where a look came to nothing. */
  failed: () => void
}

/**
 * Compares the journal's open runs with what Temporal knows, until `signal` aborts, and tells of those that nobody carries
 * any more or whose workflow cannot go on. What nobody carries is looked at by a `recover` run, which lets writers and
 * consumers in where that is proven right, and leaves everything else to a person. No environment waits for another one, and no
 * look for whoever is told. Several workers may do it beside each other: the server starts one recovery, and the journal gives it
 * the run once.
 */
export async function reconcile(options: ReconcilerOptions, signal: AbortSignal): Promise<void> {
  const { environments, everyMs } = options
  // Spread over one round: what an environment resolves may be programs.
  const watches = environments.map((place, n) => watch(options, place, (everyMs * n) / environments.length, signal))
  await Promise.all(watches)
}

async function watch(options: ReconcilerOptions, place: Place, afterMs: number, signal: AbortSignal): Promise<void> {
  const telling = new Map<string, Promise<void>>()
  const pauseFor = (ms: number): Promise<void> => pause(ms, undefined, { signal }).catch(() => {})
  await pauseFor(afterMs)
  while (!signal.aborted) {
    try {
      await lookOnce({ ...options, place, ...(await place.resolved()), telling })
    } catch {
      place.failed()
      // Temporal or the journal is away: the next look is soon, and readiness says it.
    }
    await pauseFor(options.everyMs)
  }
  await Promise.all(telling.values())
}

/** One look at one environment. */
interface Look extends ReconcilerOptions, Resolved {
  place: Place
  /** By what is told: the looks after this one tell nothing that is being told still. */
  telling: Map<string, Promise<void>>
}

async function lookOnce(look: Look): Promise<void> {
  const open = await openRunsOf(look.journal, look.project, look.place.environment)
  // One that cannot be looked at hides no other.
  const looked = await Promise.allSettled(open.flatMap((run) => [lookAt(look, run), lookAtPause(look, run)]))
  const failed = looked.find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
}

async function lookAt(look: Look, run: RunRecord): Promise<void> {
  // What ended as needs-operator waits for a person.
  if (run.outcome !== undefined) return
  const carrying = await carryingOf(look.client, look.engine, run)
  if (carrying.as === 'carried' || carrying.as === 'by hand') return
  // It may have ended, or been taken over, while it was looked at.
  const { state, outcome, carrier } = await findRun(look.journal, run.name)
  if (state === 'ended' || outcome !== undefined || carrier !== run.carrier) return
  sayOnce(look, run, carrying)
  if (carrying.as === 'gone') await recover(look, run)
}

/** Whatever keeps them so: a migration that takes long, a hold, a person who is waited for. */
async function lookAtPause(look: Look, run: RunRecord): Promise<void> {
  const { journal, pauseLimit } = look
  const since = pausedSince(await listSteps(journal, run.name))
  const alarm = since && pauseAlarm(since, pauseLimit, await nowOf(journal))
  if (!alarm) return
  beside(look, `${run.name} ${PAUSED_LONG}`, async () => {
    const events = await listEvents(journal, run.name)
    if (events.some(({ type, body }) => type === PAUSED_LONG && body.key === alarm.key)) return
    await say(look, run, alarm.text)
    await recordEvent(journal, run.name, PAUSED_LONG, { ...alarm })
  })
}

/** Does what tells people beside the looks: a receiver may hang, and nothing waits for it. */
function beside({ telling, place }: Look, what: string, work: () => Promise<void>): void {
  if (telling.has(what)) return
  const told = work()
    .catch(() => place.failed())
    .finally(() => telling.delete(what))
  telling.set(what, told)
}

/** An event of the journal. */
const PAUSED_LONG = 'paused long'

/** A recovery may be terminated, or fail before it takes the run over: so often it is begun anew, then it is for a person alone. */
const TRIES = 6
/** Before the second try; twice as long before each one after it. */
const AGAIN_MS = 5_000

async function recover(look: Look, run: RunRecord): Promise<void> {
  const { client, project, journal, onLine } = look
  const { environment, queue } = look.place
  const tried = (await listEvents(journal, run.name)).filter(({ type }) => type === 'recovering')
  if (tried.length >= TRIES) {
    const why = `it could not be looked at in ${TRIES} tries: headgate recover ${run.name}`
    return sayOnce(look, run, { as: 'given up', why })
  }
  const last = tried.at(-1)
  // By the clock that the tries are noted by: the worker's may be another.
  const passed = last && (await nowOf(journal)).getTime() - last.at.getTime()
  if (passed !== undefined && passed < AGAIN_MS * 2 ** (tried.length - 1)) return
  const of = run.kind === 'backup' ? ({ of: 'backup' } as const) : {}
  try {
    await client.workflow.start('recover', {
      workflowId: recoverWorkflowId(project, environment, of.of),
      taskQueue: queue,
      args: [
        {
          ...{ project, environment, requester: { by: RECONCILER } },
          recover: { run: run.name, choice: 'automatic', from: run.carrier, ...of },
        },
      ],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: `recover ${run.name}`,
    })
    await recordEvent(journal, run.name, 'recovering', { carrier: run.carrier })
    onLine(`${environment}: run ${run.name} is looked at: headgate status ${environment}`)
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
  }
}

/** Once for each carrier and finding; better twice than not at all. */
function sayOnce(
  look: Look,
  run: RunRecord,
  { as, why }: Extract<Carrying, { why: string }> | { as: 'given up'; why: string },
): void {
  const { journal } = look
  const { name, carrier } = run
  beside(look, `${name} ${as} ${carrier}`, async () => {
    const events = await listEvents(journal, name)
    if (events.some(({ type, body }) => type === as && body.carrier === carrier)) return
    await say(look, run, why)
    await recordEvent(journal, name, as, { why, carrier })
  })
}

async function say({ onLine, tell }: ReconcilerOptions, run: RunRecord, why: string): Promise<void> {
  onLine(`${run.environment}: run ${run.name}: ${why}`)
  await tell(run, why)
}
