import type { BackupSummary } from './manifest.js'
import { downTarget, isUndo, type Plan, type Requester, type RunKind } from './plan.js'
import type { Ending } from './run.js'

/** What the journal knows of one run; times are ISO. */
export interface ReportFacts {
  run: {
    name: string
    project: string
    environment: string
    kind: RunKind
    tag: string | undefined
    database: string
    planDigest: string | undefined
    requester: Requester
    state: 'open' | 'ended'
    gate: 'closed' | 'open' | undefined
    contractStarted: boolean
    ending: Ending | undefined
    startedAt: string
    endedAt: string | undefined
  }
  plan: Plan | undefined
  steps: {
    step: string
    stage: number
    attempt: number
    epoch: number
    state: 'intended' | 'done' | 'failed'
    result: unknown
    failure: { code: string; message: string; evidence?: string } | undefined
    startedAt: string
    endedAt: string | undefined
  }[]
  decisions: {
    stage: number
    decision: string
    by: string
    verified: boolean
    accepted: boolean
    digest: string
    note: string
    at: string
  }[]
  events: { at: string; type: string; body: Record<string, unknown> }[]
  backups: BackupSummary[]
}

/** The report's model: plain JSON, without secrets, from which every rendering is made. */
export interface Report {
  run: string
  project: string
  environment: string
  kind: RunKind
  tag?: string
  /** The release that mended it. */
  mendedWith?: string
  database: string
  digest?: string
  requestedBy: string
  startedAt: string
  endedAt?: string
  /** Absent while the run is open. */
  ending?: Ending
  migrations: { version: string; name: string; phase: string; stage: number }[]
  steps: {
    step: string
    stage: number
    attempt: number
    state: 'intended' | 'done' | 'failed'
    startedAt: string
    seconds?: number
    note: string
    evidence?: string
  }[]
  decisions: ReportFacts['decisions']
  backups: BackupSummary[]
  events: { at: string; type: string; text: string }[]
  /** Commands to repeat or to go on with. */
  commands: string[]
}

/** Bounds: a report is one page of a person's attention, and far below what a payload may hold. */
const STEPS = 300
const EVENTS = 200

export function buildReport({ run, plan, steps, decisions, events, backups }: ReportFacts): Report {
  const asked = askedTag(run.tag, events)
  const tag = asked === undefined ? '' : ` --tag ${asked}`
  return {
    run: run.name,
    project: run.project,
    environment: run.environment,
    kind: run.kind,
    ...(asked === undefined ? {} : { tag: asked }),
    ...(run.tag === undefined || run.tag === asked ? {} : { mendedWith: run.tag }),
    database: run.database,
    ...(run.planDigest === undefined ? {} : { digest: run.planDigest }),
    requestedBy: `${run.requester.by}${run.requester.verified ? '' : ' (a claim)'}`,
    startedAt: run.startedAt,
    ...(run.endedAt === undefined ? {} : { endedAt: run.endedAt }),
    ...(run.ending === undefined ? {} : { ending: run.ending }),
    migrations: (plan?.stages ?? []).flatMap(({ number, phase: as, migrations }) =>
      migrations.map(({ version, name, phase }) => ({ version, name, phase: isUndo(as) ? as : phase, stage: number })),
    ),
    steps: steps.slice(-STEPS).map(stepOf),
    decisions,
    backups,
    events: events
      .filter((event) => !isToldWithItsStep(event, steps))
      .slice(-EVENTS)
      .map(({ at, type, body }) => ({ at, type, text: sentenceOf(type, body) })),
    commands: [
      `headgate ${run.kind} ${run.environment}${argumentsOf(plan)}${tag}`,
      ...events.flatMap(({ type, body: { choice, tag: by } }) =>
        type === 'recover' && choice !== 'automatic'
          ? [`headgate recover ${run.name} --${choice}${typeof by === 'string' ? ` --tag ${by}` : ''}`]
          : [],
      ),
      ...(run.ending === undefined ? [] : [run.ending.next]),
    ],
  }
}

/** What the run was asked for with: a fix has another release, and tells whose place it took. */
function askedTag(now: string | undefined, events: ReportFacts['events']): string | undefined {
  const { was } = events.find(({ type }) => type === 'fix')?.body ?? {}
  return was === undefined ? now : typeof was === 'string' ? was : undefined
}

/** What was typed behind the environment. */
function argumentsOf(plan: Plan | undefined): string {
  if (plan?.marks) return ` mark-${plan.marks.as} ${typeable(plan.marks.version)}`
  if (plan?.creates) return plan.creates.instead === 'old' ? ' --drop' : ''
  const target = plan && downTarget(plan)
  if (target !== undefined) return ` --down-to ${typeable(target)}`
  return plan?.restores === undefined ? '' : ` ${plan.restores}`
}

/** As a shell takes it for one word. */
const typeable = (text: string): string => (/^[\w.@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

function stepOf({
  step,
  stage,
  attempt,
  state,
  result,
  failure,
  startedAt,
  endedAt,
}: ReportFacts['steps'][number]): Report['steps'][number] {
  const done = typeof result === 'string' ? result : textOf(result)
  const note = failure ? whyFailed(failure) : state === 'intended' ? 'how it ended is not recorded' : done
  return {
    step,
    stage,
    attempt,
    state,
    startedAt,
    ...(endedAt === undefined ? {} : { seconds: (Date.parse(endedAt) - Date.parse(startedAt)) / 1000 }),
    note,
    ...(failure?.evidence === undefined ? {} : { evidence: failure.evidence }),
  }
}

/** What Temporal tells an attempt that is to end, in words. */
const ENDED_BY: Record<string, string> = {
  CANCELLED: 'cancelled',
  WORKER_SHUTDOWN: 'its worker was stopped: the next attempt took over',
  TIMED_OUT: 'its time was over: the next attempt took over',
  NOT_FOUND: 'the server did not wait for this attempt any more',
}

const whyFailed = ({ code, message }: { code: string; message: string }): string =>
  (code === 'Unexpected' ? ENDED_BY[message] : undefined) ?? `${code}: ${message}`

type JournaledEvent = ReportFacts['events'][number]

const isToldWithItsStep = ({ type, body }: JournaledEvent, steps: ReportFacts['steps']): boolean =>
  type === 'evidence' && steps.some(({ failure }) => failure?.evidence !== undefined && failure.evidence === body.text)

/** What happened, for a person; the journal's own words where this version does not know the type. */
function sentenceOf(type: string, body: JournaledEvent['body']): string {
  const { text, why, outcome, reason, differences, choice, by, stage, tag, snapshot } = body
  switch (type) {
    case 'ended':
      return `ended as ${outcome}: ${reason}`
    case 'waiting':
      return `waits for an approval: ${text}`
    case 'plan changed':
      return `the plan is not the one that was approved any more: ${shortened(differences)}`
    case 'recover':
      return choice === 'automatic'
        ? `taken over at stage ${stage} by ${by}`
        : `${by} chose to ${choice} it${typeof tag === 'string' ? ` with ${tag}` : ''}, from stage ${stage}`
    case 'recovery':
      return `what was found calls for ${body.do === 'ask' ? 'a person' : body.do}: ${why}`
    case 'gate proven closed':
      return `the gate was proven closed once more, at snapshot ${snapshot}`
    case 'not notified':
      return `somebody was not told: ${text}`
    default:
      return typeof text === 'string' ? text : `${type}: ${typeof why === 'string' ? why : textOf(body)}`
  }
}

/** Checksums are cut as digests are. */
const shortened = (differences: unknown): string =>
  (Array.isArray(differences) ? differences : [])
    .map(String)
    .join(', ')
    .replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1')

/** The `text` of an event or a result, else its JSON. */
function textOf(body: unknown): string {
  if (typeof body === 'object' && body !== null && 'text' in body && typeof body.text === 'string') return body.text
  return body === null || body === undefined ? '' : JSON.stringify(body)
}
