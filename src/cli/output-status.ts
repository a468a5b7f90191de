import { duration, moment } from '../domain/amounts.js'
import type { Progress } from '../client/progress.js'
import type { Standing } from '../client/standing.js'
import { isOpen } from '../domain/ending.js'
import type { Report } from '../domain/report.js'
import type { Ending } from '../domain/run.js'
import { progressText, stepLine, summary } from './output-run.js'
import { line, shortDigest } from './output-words.js'

/** One run in the words of `-o json`. */
export interface StatusAnswer {
  environment: string
  run?: string
  /** `unknown`: Temporal is away, and the journal alone has been asked. */
  state: 'none' | 'running' | 'waiting' | 'held' | 'stuck' | 'ended' | 'unknown'
  step?: string
  stage?: number
  tag?: string
  database?: string
  digest?: string
  waiting?: string
  deadline?: string
  why?: string
  outcome?: string
  exit?: number
  reason?: string
  /** Asked for, and not yet in force. */
  hold?: string
  attempt?: number
  progress?: string
  lastFailure?: string
  code?: string
  hint?: string
  next?: string
}

export function statusAnswer(environment: string, { state, ending, stuck, progress }: Standing): StatusAnswer {
  const ended = ending === undefined ? {} : endedAnswer(ending)
  if (!state)
    return {
      environment,
      state: stuck === undefined ? 'ended' : 'stuck',
      ...ended,
      ...(stuck === undefined ? {} : { why: stuck }),
    }
  const { run, tag, database, digest, step, stage, waiting, deadline, hold } = state
  return {
    environment,
    run,
    state: ending ? 'ended' : state.state,
    step,
    stage,
    ...(tag === undefined ? {} : { tag }),
    database,
    digest,
    ...(waiting === undefined ? {} : { waiting }),
    ...(deadline === undefined ? {} : { deadline: new Date(deadline).toISOString() }),
    ...(hold === undefined ? {} : { hold }),
    ...(progress === undefined ? {} : progressAnswer(progress)),
    ...ended,
  }
}

const progressAnswer = ({ text, attempt, lastFailure }: Progress) => ({
  attempt,
  ...(text === '' ? {} : { progress: text }),
  ...(lastFailure === undefined ? {} : { lastFailure }),
})

const endedAnswer = ({ run, outcome, exit, reason, code, hint, next }: Ending) => ({
  ...{ run, outcome, exit, reason },
  ...(code === undefined ? {} : { code }),
  ...(hint === undefined ? {} : { hint }),
  next,
})

const headOf = (ending: Ending): string => (isOpen(ending) ? 'open, waits for a person' : 'ended')

export function statusLines(environment: string, { state, ending, stuck, progress }: Standing, now: number): string[] {
  if (stuck !== undefined) return [`${environment}: stuck`, `  ${line(stuck)}`]
  if (!state) return ending ? [`${environment}: ${headOf(ending)}`, ...summary(ending).slice(1)] : [environment]
  const { run, tag, database, digest, waiting, deadline, hold } = state
  const running = state.lines.at(-1)
  const head = line(
    `${run || environment}${tag === undefined ? '' : `, tag ${tag}`}${database === '' ? '' : `, database ${database}`}${digest === '' ? '' : `, plan ${shortDigest(digest)}`}`,
  )
  const steps = state.lines.map((step) => `  ${stepLine(step)}`)
  if (ending) return [head, ...steps, ...summary(ending)]
  const call = waiting === undefined ? [] : ['', `  next  ${waiting}`]
  const until = deadline === undefined ? '' : ` until ${moment(deadline)}`
  const since = running && running.endedAt === undefined ? ` for ${duration(now - running.startedAt)}` : ''
  const isBetween = state.state === 'held' && running?.state === 'done'
  const said = progress === undefined ? '' : progressText(progress)
  return [
    head,
    ...steps,
    '',
    `  ${state.state} ${isBetween ? 'after' : 'at'} ${state.step}${since}${until}${said === '' ? '' : `, ${said}`}`,
    ...(hold === undefined ? [] : [`  ${line(hold)}`]),
    ...call,
  ]
}

export const nothingRan = (environment: string): { lines: string[]; answer: StatusAnswer } => ({
  lines: [`${environment}: no run is known to Temporal`, `  next  headgate plan ${environment} --tag TAG`],
  answer: { environment, state: 'none' },
})

/** What is known of a run that has not ended, and what to type. */
export interface NotEnded {
  state: 'stuck' | 'unknown'
  why: string
  next: string
}

const notCarried = (run: string): NotEnded => ({
  state: 'stuck',
  why: 'open in the journal, and no workflow carries it',
  next: `headgate recover ${run}`,
})

/** An older run, as the journal knows it. */
export function endedBefore(
  { run, environment, ending, tag, database, digest }: Report,
  { state, why, next }: NotEnded = notCarried(run),
): {
  lines: string[]
  answer: StatusAnswer
} {
  const answer: StatusAnswer = {
    environment,
    run,
    state: ending ? 'ended' : state,
    ...(tag === undefined ? {} : { tag }),
    database,
    ...(digest === undefined ? {} : { digest }),
    ...(ending ? endedAnswer(ending) : { why, next }),
  }
  const lines = ending
    ? [`${run}: ${headOf(ending)}`, ...summary(ending).slice(1)]
    : [`${run}: ${why}`, `  next  ${next}`]
  return { lines, answer }
}
