import { randomUUID } from 'node:crypto'
import type { WorkflowHandle } from '@temporalio/client'
import { failure } from '../domain/failures.js'
import type { LookAnswers, LookCommand, LookInput } from '../domain/look.js'
import { lookWorkflowId } from '../domain/names.js'
import type { Engine } from './connection.js'
import { type Place, queueOf, requireWorker } from './runs.js'

export type Question<C extends LookCommand> = Omit<LookInput, 'project' | 'environment'> & { command: C }

type Look<C extends LookCommand> = (input: LookInput) => Promise<LookAnswers[C]>

/** A worker that is gone still counts as one that polls for some minutes: this long nobody may have taken the question up. */
const TAKEN_UP_MS = 10_000
/** Events of a workflow that no worker has seen yet: started, first task scheduled. */
const UNTOUCHED_EVENTS = 2

/** Asks the worker beside the database; changes nothing. Throws `WorkerMissing`, and what the worker found wrong. */
export async function look<C extends LookCommand>(
  engine: Engine,
  place: Place,
  question: Question<C>,
): Promise<LookAnswers[C]> {
  await requireWorker(engine, place)
  const { project, environment } = place
  const handle = await engine.client.workflow.start<Look<C>>('look', {
    workflowId: lookWorkflowId(project, environment, question.command, randomUUID().slice(0, 8)),
    taskQueue: queueOf(place),
    args: [{ ...question, project, environment }],
    workflowExecutionTimeout: '15m',
    staticSummary: `look ${question.command} ${environment}`,
  })
  const waiting = new AbortController()
  try {
    const answer = handle.result().then((value) => ({ value }))
    const first = await Promise.race([answer, neglected(handle, waiting.signal)])
    if (first) return first.value
    answer.catch(() => {})
    await handle.terminate('nobody took the question up').catch(() => {})
    throw failure('WorkerMissing', `no worker on ${queueOf(place)} answered within ${TAKEN_UP_MS / 1_000} s`)
  } finally {
    waiting.abort()
  }
}

/** The run that keeps others from beginning; a backup keeps nobody. */
export const openRunAmong = (
  runs: LookAnswers['history']['runs'],
): LookAnswers['history']['runs'][number] | undefined =>
  runs.find(({ state, kind }) => state === 'open' && kind !== 'backup')

/** Resolves when nobody has taken the question up; then nobody will answer it later either. Else it never settles. */
function neglected(handle: WorkflowHandle<never>, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(async () => {
      const described = await handle.describe().catch(() => undefined)
      if (described && described.historyLength <= UNTOUCHED_EVENTS) resolve(undefined)
    }, TAKEN_UP_MS)
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })
}
