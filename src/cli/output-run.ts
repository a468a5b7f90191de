import { duration, moment } from '../domain/amounts.js'
import type { RunEvent } from '../client/follow.js'
import type { Progress } from '../client/progress.js'
import type { Ending, StepLine } from '../domain/run.js'
import { clock, line, shortDigest } from './output-words.js'

type EventOf<E extends RunEvent['event']> = Extract<RunEvent, { event: E }>

/** Width of the longest step's name, and of the longest state. */
const STEP = 17
const STATE = 7

const stageOf = (stage: number): string => (stage === 0 ? ' ' : String(stage))

export function headline({ run, project, tag, database, digest }: EventOf<'run'>): string {
  const what = tag === undefined ? project : `${project} ${tag}`
  const plan = digest === '' ? '' : `, plan ${shortDigest(digest)}`
  return line(`run ${run}: ${what}, database ${database}${plan}; times are UTC`)
}

/** `12:03:04 1 backup            done     1.2 s  clone pre_migration_..., 8.1 MB`. */
export function stepLine({ step, stage, state, text, note, startedAt, endedAt }: StepLine): string {
  const took = endedAt === undefined ? '' : duration(endedAt - startedAt)
  const at = clock(endedAt ?? startedAt)
  return stamped(
    at,
    `${stageOf(stage)} ${step.padEnd(STEP)} ${state.padEnd(STATE)} ${took.padStart(10)}  ${line(note ?? text)}`,
  )
}

const stamped = (at: string, rest: string): string => `${at} ${rest}`.trimEnd()

/** What each event is, on one line of a log; undefined where there is nothing to say. */
export function logLine(event: RunEvent, now: number): string | undefined {
  switch (event.event) {
    case 'run':
      return stamped(clock(event.startedAt), headline(event))
    case 'step':
      return stepLine(event)
    case 'progress':
      return stamped(clock(now), `  ${progressText({ ...event, text: '' })}`)
    case 'waiting':
      return stamped(clock(now), `  ${waitingText(event)}`)
    case 'held':
      return stamped(clock(now), `  held; to go on: ${event.command}`)
    case 'away':
      return stamped(clock(now), `  ${awayText(event)}`)
    case 'back':
      return stamped(clock(now), '  a worker answers again')
    case 'end':
      return undefined
  }
}

export function waitingText({ command, deadline }: EventOf<'waiting'>): string {
  return `waits for approval${deadline === undefined ? '' : ` until ${moment(deadline)}`}: ${command}`
}

export const awayText = ({ who }: EventOf<'away'>): string =>
  who === 'Temporal'
    ? 'Temporal does not answer; the run goes on as soon as it does'
    : 'no worker answers; the run goes on as soon as one does'

/** What the running step says of itself; which attempt it is, where it is not the first. */
export function progressText({ text, attempt, lastFailure }: Progress): string {
  if (attempt === 1 && lastFailure === undefined) return line(text)
  const after = lastFailure === undefined ? '' : `, after: ${line(lastFailure)}`
  return `attempt ${attempt}${text === '' ? '' : ` (${line(text)})`}${after}`
}

/** A sign of life while nothing changes. Of a run that nobody tells of only what was heard last is known. */
export function heartbeatLine(
  running: StepLine | undefined,
  progress: string,
  now: number,
  silentSince?: number,
): string {
  if (silentSince !== undefined) {
    const last = running === undefined ? '' : `; it was at ${running.step} then`
    return stamped(clock(now), `  not heard of for ${duration(now - silentSince)}${last}`)
  }
  if (!running) return stamped(clock(now), '  still there')
  const said = progress === '' ? '' : `: ${line(progress)}`
  return stamped(clock(now), `  ${running.step} for ${duration(now - running.startedAt)}${said}`)
}

/** The block at the end: what happened, what is what, what to type next. */
export function summary({ outcome, reason, database, services, consumers, code, hint, next }: Ending): string[] {
  return [
    '',
    `${outcome}: ${line(reason)}`,
    ...(code === undefined ? [] : [`  code       ${code}: headgate explain ${code} says what it means`]),
    `  database   ${line(database)}`,
    `  services   ${line(services)}`,
    `  consumers  ${line(consumers)}`,
    ...(hint === undefined ? [] : [`  do         ${line(hint)}`]),
    `  next       ${line(next)}`,
  ]
}

/** One event of `-o json`; times are ISO. */
export function jsonEvent(event: RunEvent): object {
  const iso = (at: number): string => new Date(at).toISOString()
  if (event.event === 'run') return { ...event, startedAt: iso(event.startedAt) }
  if (event.event === 'step') {
    const { startedAt, endedAt, ...rest } = event
    return { ...rest, startedAt: iso(startedAt), ...(endedAt === undefined ? {} : { endedAt: iso(endedAt) }) }
  }
  if (event.event === 'waiting') {
    const { deadline, ...rest } = event
    return { ...rest, ...(deadline === undefined ? {} : { deadline: iso(deadline) }) }
  }
  return event
}
