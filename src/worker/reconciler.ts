import { setTimeout as pause } from 'node:timers/promises'
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { findRun, openRunsOf, type RunRecord } from '../adapters/journal/runs.js'
import { type Carrying, carryingOf } from '../client/carrying.js'
import { recoverWorkflowId } from '../domain/names.js'
import { RECONCILER } from '../domain/run.js'
import type { Journal } from '../adapters/journal/journal.js'
import { listEvents, listSteps, recordEvent } from '../adapters/journal/steps.js'
import { pauseAlarm, pausedSince } from './pause-alarm.js'

export interface ReconcilerOptions {
  client: Client
  /** Names the Temporal the client is connected to. */
  engine: string
  project: string
  everyMs: number
  /** The journal is opened where it can be; `failed` is told where a look came to nothing. */
  environments: () => readonly {
    environment: string
    queue: string
    journal: () => Promise<Journal>
    failed: () => void
    /** How long a run may keep consumers paused, in ms. */
    pauseLimit: () => Promise<number>
  }[]
  onLine: (line: string) => void
  /** Tells people. Never throws. */
  tell: (run: RunRecord, text: string) => Promise<void>
}

/**
 * Compares the journal's open runs with what Temporal knows, until `signal` aborts, and tells of those that nobody carries
 * any more or whose workflow cannot go on. What nobody carries is looked at by a `recover` run, which lets writers and
 * consumers in where that is proven right, and leaves everything else to a person. Several workers may do it beside each
 * other: the server starts one recovery, and the journal gives it the run once.
 */
export async function reconcile(options: ReconcilerOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const place of options.environments()) {
      try {
        await reconcileOne(options, place)
      } catch {
        place.failed()
        // Temporal or the journal is away: the next look is soon, and readiness says it.
      }
    }
    await pause(options.everyMs, undefined, { signal }).catch(() => {})
  }
}

type Place = ReturnType<ReconcilerOptions['environments']>[number]

async function reconcileOne(options: ReconcilerOptions, place: Place): Promise<void> {
  const journal = await place.journal()
  const open = await openRunsOf(journal, options.project, place.environment)
  // One that cannot be looked at hides no other.
  const looks = [lookAt, lookAtPause]
  const looked = await Promise.allSettled(
    open.flatMap((run) => looks.map((look) => look(options, place, journal, run))),
  )
  const failed = looked.find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
}

async function lookAt(options: ReconcilerOptions, place: Place, journal: Journal, run: RunRecord): Promise<void> {
  // What ended as needs-operator waits for a person.
  if (run.outcome !== undefined) return
  const carrying = await carryingOf(options.client, options.engine, run)
  if (carrying.as === 'carried' || carrying.as === 'by hand') return
  // It may have ended, or been taken over, while it was looked at.
  const { state, outcome, carrier } = await findRun(journal, run.name)
  if (state === 'ended' || outcome !== undefined || carrier !== run.carrier) return
  await once(journal, run, carrying, () => say(options, run, carrying.why))
  if (carrying.as === 'gone') await recover(options, place, journal, run)
}

/** Whatever keeps them so: a migration that takes long, a hold, a person who is waited for. */
async function lookAtPause(options: ReconcilerOptions, place: Place, journal: Journal, run: RunRecord): Promise<void> {
  const since = pausedSince(await listSteps(journal, run.name))
  const alarm = since && pauseAlarm(since, await place.pauseLimit(), new Date())
  if (!alarm) return
  const events = await listEvents(journal, run.name)
  if (events.some(({ type, body }) => type === PAUSED_LONG && body.key === alarm.key)) return
  await say(options, run, alarm.text)
  await recordEvent(journal, run.name, PAUSED_LONG, { ...alarm })
}

/** An event of the journal. */
const PAUSED_LONG = 'paused long'

/** A recovery may be terminated, or fail before it takes the run over: so often it is begun anew, then it is for a person alone. */
const TRIES = 6
/** Before the second try; twice as long before each one after it. */
const AGAIN_MS = 5_000

async function recover(options: ReconcilerOptions, place: Place, journal: Journal, run: RunRecord): Promise<void> {
  const { client, project, onLine } = options
  const { environment, queue } = place
  const tried = (await listEvents(journal, run.name)).filter(({ type }) => type === 'recovering')
  if (tried.length >= TRIES) {
    const why = `it could not be looked at in ${TRIES} tries: headgate recover ${run.name}`
    return once(journal, run, { as: 'given up', why }, () => say(options, run, why))
  }
  const last = tried.at(-1)
  if (last && Date.now() - last.at.getTime() < AGAIN_MS * 2 ** (tried.length - 1)) return
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
async function once(
  journal: Journal,
  run: RunRecord,
  { as, why }: Extract<Carrying, { why: string }> | { as: 'given up'; why: string },
  act: () => Promise<void>,
): Promise<void> {
  const known = (await listEvents(journal, run.name)).some(
    ({ type, body }) => type === as && body.carrier === run.carrier,
  )
  if (known) return
  await act()
  await recordEvent(journal, run.name, as, { why, carrier: run.carrier })
}

async function say({ onLine, tell }: ReconcilerOptions, run: RunRecord, why: string): Promise<void> {
  onLine(`${run.environment}: run ${run.name}: ${why}`)
  await tell(run, why)
}
