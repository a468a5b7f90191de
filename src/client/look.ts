import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { failure } from '../domain/failures.js'
import type { LookAnswers, LookCommand, LookInput } from '../domain/look.js'
import { lookWorkflowId } from '../domain/names.js'
import type { Engine } from './connection.js'
import { progressOf } from './progress.js'
import { type Place, queueOf, requireWorker } from './runs.js'

export type Question<C extends LookCommand> = Omit<LookInput, 'project' | 'environment'> & { command: C }

type Look<C extends LookCommand> = (input: LookInput) => Promise<LookAnswers[C]>

const PROGRESS_MS = 1_000
/** A worker that is gone still counts as one that polls for some minutes: this long nobody may have taken the question up. */
const TAKEN_UP_MS = 10_000
/** Events of a workflow that no worker has seen yet: started, first task scheduled. */
const UNTOUCHED_EVENTS = 2

/** For a question that is not answered at once. */
export interface Patience {
  /** Of the workflow, as Temporal spells it; default 15 minutes. */
  within: '25h'
  /** What the worker says meanwhile, each time that it says something else. */
  onProgress: (text: string) => void
}

/** Asks the worker beside the database; changes nothing. Throws `WorkerMissing`, and what the worker found wrong. */
export async function look<C extends LookCommand>(
  engine: Engine,
  place: Place,
  question: Question<C>,
  patience?: Patience,
): Promise<LookAnswers[C]> {
  await requireWorker(engine, place)
  const { project, environment } = place
  const handle = await engine.client.workflow.start<Look<C>>('look', {
    workflowId: lookWorkflowId(project, environment, question.command, randomUUID().slice(0, 8)),
    taskQueue: queueOf(place),
    args: [{ ...question, project, environment }],
    workflowExecutionTimeout: patience?.within ?? '15m',
    staticSummary: `look ${question.command} ${environment}`,
  })
  const waiting = new AbortController()
  if (patience) void follow(engine, handle, patience.onProgress, waiting.signal)
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

/** Until the answer is there. */
async function follow(
  engine: Engine,
  handle: WorkflowHandle<never>,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let said = ''; !signal.aborted; await pause(PROGRESS_MS, undefined, { signal }).catch(() => {})) {
    const text = (await progressOf(engine, handle))?.text ?? ''
    if (text === '' || text === said || signal.aborted) continue
    said = text
    onProgress(text)
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
