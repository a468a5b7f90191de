import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import type { LookAnswers, LookCommand, LookInput } from '../domain/look.js'
import { lookWorkflowId } from '../domain/names.js'
import { answerOf } from './answer.js'
import type { Engine } from './connection.js'
import { progressOf } from './progress.js'
import { type Place, queueOf, requireWorker } from './runs.js'

export type Question<C extends LookCommand> = Omit<LookInput, 'project' | 'environment'> & { command: C }

type Look<C extends LookCommand> = (input: LookInput) => Promise<LookAnswers[C]>

const PROGRESS_MS = 1_000
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
  return answerOf(handle, queueOf(place)).finally(() => waiting.abort())
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
