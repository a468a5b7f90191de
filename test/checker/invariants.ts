import type { Evidence } from './evidence.js'
import type { Watched } from './watch.js'
import { differences, type Snapshot } from './snapshot.js'

/** How the newest execution that says so says that everything ended; `none`: no run began. */
export type Verdict = string

export interface Violation {
  /** As `docs/reliability.md` numbers them. */
  invariant: number
  text: string
}

/**
 * What does not hold: nothing, where everything is as promised. `outcome`: what ended last, for whoever expects something.
 */
export function judge(evidence: Evidence): { outcome: Verdict; violations: Violation[] } {
  const outcome = outcomeOf(evidence)
  const violations = INVARIANTS.flatMap((holds, index) =>
    holds(evidence, outcome).map((text) => ({ invariant: index + 1, text })),
  )
  return { outcome, violations }
}

/** What the last run that reached an outcome reached: looks and refused commands reach none. */
export function outcomeOf({ executions }: Evidence): Verdict {
  return executions.findLast(({ outcome }) => outcome !== undefined)?.outcome ?? 'none'
}

type Invariant = (evidence: Evidence, outcome: Verdict) => string[]

const AS_BEFORE = new Set(['none', 'aborted', 'restored'])

/** 1. At the target and verified, or as before, or at a version the running image carries, or a person is told. */
const atAStatedPlace: Invariant = (evidence, outcome) => {
  const { before, now, isShut, target, scene, executions } = evidence
  if (isShut && outcome !== 'needs-operator') return ['the database lets nobody in']
  const { between, end } = placesOf(before.ledger, scene.release)
  if (AS_BEFORE.has(outcome))
    return [
      ...differences(before.database, now.database),
      ...Object.entries(before.rows)
        .filter(([table, { hash }]) => now.rows[table]?.hash !== hash)
        .map(([table]) => `rows of ${table} that were there before are others now`),
      ...unlike(now.ledger, before.ledger),
    ]
  if (outcome === 'succeeded')
    return [...unlike(now.ledger, end), ...differences(schemaOf(target), schemaOf(now.database))]
  if (outcome === 'deferred' && isToldOnTheWay(now.ledger, { between, end }, executions)) return []
  if (outcome === 'deferred') return [...unlike(now.ledger, between), ...unlikeItsLedger(evidence, between)]
  if (outcome === 'rolled-back')
    return between.join().startsWith(now.ledger.join())
      ? unlikeItsLedger(evidence, between)
      : [`the ledger has ${now.ledger.join(', ')}`]
  const isTold = operatorCase(executions)?.said.includes('headgate recover') || isAccepted(executions)
  return isTold ? [] : ['needs-operator, and nobody is told what to type']
}

/** The schema is that of the place that the ledger names, where there is a reference for it. */
function unlikeItsLedger({ before, now, between: reference }: Evidence, between: readonly string[]): string[] {
  const named = now.ledger.join()
  if (named === before.ledger.join()) return differences(schemaOf(before.database), schemaOf(now.database))
  return named === between.join() ? differences(schemaOf(reference), schemaOf(now.database)) : []
}

/** The ledger between the two stages, and behind them. */
function placesOf(
  before: readonly string[],
  { direction, expand, contract }: Evidence['scene']['release'],
): { between: string[]; end: string[] } {
  if (direction === 'up')
    return { between: [...before, ...expand].sort(), end: [...before, ...expand, ...contract].sort() }
  const between = before.filter((version) => !contract.includes(version))
  return { between, end: between.filter((version) => !expand.includes(version)) }
}

/**
 * A stage of ways down that did not come to its end, with a gate that could not be proven closed any more (the server had crashed):
 * what is committed stays, the image that runs lives with it, and whoever reads the ending is told where the database is.
 */
function isToldOnTheWay(
  ledger: readonly string[],
  { between, end }: { between: readonly string[]; end: readonly string[] },
  executions: Evidence['executions'],
): boolean {
  const begins = (all: readonly string[], first: readonly string[]): boolean =>
    first.every((version, index) => all[index] === version)
  const ended = executions.findLast(({ outcome }) => outcome !== undefined)
  return begins(ledger, end) && begins(between, ledger) && ended?.said.includes(`at ${ledger.at(-1)}:`) === true
}

const operatorCase = (executions: Evidence['executions']): Evidence['executions'][number] | undefined =>
  executions.findLast(({ outcome }) => outcome === 'needs-operator')

/** Somebody took it as it is: nobody is kept waiting any more. */
const isAccepted = (executions: Evidence['executions']): boolean =>
  operatorCase(executions)?.said.includes('acceptedBy') ?? false

const unlike = (is: readonly string[], should: readonly string[]): string[] =>
  is.join() === should.join() ? [] : [`the ledger has ${is.join(', ')}, not ${should.join(', ')}`]

const schemaOf = (snapshot: Snapshot): Snapshot =>
  Object.fromEntries(Object.entries(snapshot).filter(([key]) => /^(schema(?! .*(DATABASE|preamble))|index)/.test(key)))

/** 2. Consumers and services are as the outcome says; nobody's earlier pause was lifted. */
const asTheOutcomeSays: Invariant = ({ before, now, watched, scene, executions }, outcome) => {
  const asleep = Object.entries(before.consumers).filter(([, state]) => state === 'paused')
  const woken = asleep
    .filter(([name]) => watched.consumers.some(({ states }) => states[name] === 'running'))
    .map(([name]) => `${name} was paused by somebody else, and was woken`)
  const consumers = Object.entries(before.consumers)
    .filter(([name, state]) => now.consumers[name] !== state)
    .map(([name, state]) => `consumer ${name} is ${now.consumers[name]}, and was ${state}`)
  if (outcome === 'needs-operator')
    return isAccepted(executions) ? [...woken, ...consumers] : [...woken, ...wokenBehind(watched, now, executions)]
  const { direction, tags } = scene.release
  // What is taken back goes from the next image to the previous one; where it does not arrive the next one stays.
  const arrived = outcome === 'succeeded' || outcome === 'deferred'
  const there = (direction === 'up') === arrived ? tags.next : tags.previous
  const tag = AS_BEFORE.has(outcome) ? before.service : there
  const service = scene.service && now.service !== tag ? [`the service runs ${now.service}, not ${tag}`] : []
  return [...woken, ...consumers, ...service]
}

/** What is paused when a person is asked stays paused. */
function wokenBehind(watched: Watched, now: Evidence['now'], executions: Evidence['executions']): string[] {
  const asked = operatorCase(executions)?.closedAt ?? ''
  const then = watched.consumers.findLast(({ at }) => at <= asked)?.states ?? {}
  return Object.entries(then)
    .filter(([name, state]) => state === 'paused' && now.consumers[name] === 'running')
    .map(([name]) => `consumer ${name} was paused when a person was asked, and runs`)
}

/** 3. From the first migration on there is a backup of before, until the outcome. */
const alwaysABackup: Invariant = ({ watched, audit, executions, scene }) => {
  const end = executions.findLast(({ outcome }) => outcome !== undefined)?.closedAt
  // What was put back has left no row: then the session was seen that migrated.
  const begun = [...audit.map(({ at }) => at), ...(watched.migrating ? [watched.migrating] : [])].sort()
  const [first] = begun
  if (!first || !end) return []
  const at = (time: string): boolean => watched.backup.findLast((one) => one.at <= time)?.is ?? false
  const serving = servingOf(scene, watched)
  const gone = watched.backup.filter(({ at: time, is }) => !is && time > first && time < end)
  return [
    ...begun.filter((time) => !at(time)).map((time) => `migrated at ${time} without a backup`),
    // Between two stages the first one's backup may be given up: its migration is proven and serves.
    ...gone.filter(({ at: time }) => !serving || time < serving).map(({ at: time }) => `no backup at ${time}`),
  ]
}

/** Since when the image that a release leads to has run on what the run made of the database. */
function servingOf({ release: { direction, tags } }: Evidence['scene'], { service }: Watched): string | undefined {
  const led = direction === 'up' ? tags.next : tags.previous
  return service.findLast(({ tag }, index) => tag === led && service[index - 1]?.tag !== led)?.at
}

/** 4. No acknowledged write is lost: it is in the live database, or in a quarantine that is named to people. */
const nothingLost: Invariant = ({ missing, executions, reports }, outcome) => {
  const isNamed = (quarantine: string): boolean =>
    executions.some(({ history }) => history.includes(quarantine)) ||
    reports.some(({ text }) => text?.includes(quarantine))
  return missing.flatMap(({ key, found, quarantine }) => {
    // A migration may have changed what it means.
    if (found !== undefined) return AS_BEFORE.has(outcome) ? [`${key} is ${found}`] : []
    if (quarantine === undefined) return [`${key} is nowhere`]
    return isNamed(quarantine) ? [] : [`${key} is in ${quarantine} only, which nobody names`]
  })
}

/** 5. Never two changing sessions of two attempts at once. */
const oneAtATime: Invariant = ({ watched }) => watched.together

/** 6. Nothing is left over. */
const nothingLeft: Invariant = ({ left }) => left

/** 7. Each migration takes effect at most once. */
const atMostOnce: Invariant = ({ audit }) => {
  const times = new Map<string, number>()
  for (const { what } of audit) times.set(what, (times.get(what) ?? 0) + 1)
  return [...times].filter(([, n]) => n > 1).map(([what, n]) => `${what} took effect ${n} times`)
}

/** 8. A contract stage ran only after its approval. */
const approved: Invariant = ({ audit, approvals, now, scene }) => {
  // Whoever types it has agreed.
  if (scene.release.direction === 'down') return []
  const contract = scene.release.contract.filter((version) => now.ledger.includes(version))
  const [first] = [...approvals].sort()
  if (contract.length > 0 && first === undefined) return [`${contract.join(', ')} ran, and nobody approved`]
  return audit
    .filter(({ what, at }) => scene.release.contract.includes(what) && (first === undefined || at < first))
    .map(({ what, at }) => `${what} ran at ${at}, before it was approved (${first ?? 'never'})`)
}

/** 9. The image that runs is one that the schema carries. */
const compatible: Invariant = ({ audit, watched, scene, now }) => {
  const { direction, tags, expand, contract } = scene.release
  const isUp = direction === 'up'
  const timeOf = (versions: readonly string[]): string | undefined =>
    audit.find(({ what }) => versions.includes(what))?.at
  const contracted = timeOf(contract)
  const expanded = timeOf(expand)
  /** Seen on the wrong side of that moment. */
  const onSide = (image: string, side: 'before' | 'after', moment: string | undefined): Watched['service'] =>
    watched.service.filter(
      ({ at, tag }) => moment !== undefined && tag === image && (side === 'after' ? at > moment : at < moment),
    )
  const tooOld = onSide(tags.previous, isUp ? 'after' : 'before', contracted)
  const tooNew = onSide(tags.next, isUp ? 'before' : 'after', expanded)
  const lacks = contract.some((version) => now.ledger.includes(version)) && now.service === tags.previous
  return [
    ...tooOld.map(({ at }) => `${tags.previous} ran at ${at}, ${isUp ? 'after' : 'before'} the contract stage`),
    ...tooNew.map(({ at }) => `${tags.next} ran at ${at}, ${isUp ? 'before' : 'after'} the expand stage`),
    ...(lacks ? [`${tags.previous} runs after the contract stage`] : []),
    ...(now.service === tags.next && expand.some((version) => !now.ledger.includes(version))
      ? [`${tags.next} runs, and its expand stage is not applied`]
      : []),
  ]
}

/** 10. Every run has a report, which tells of each effect, and of its step before it happened. */
const reported: Invariant = ({ reports, audit }) => [
  ...reports.filter(({ text }) => text === undefined).map(({ run }) => `there is no report of ${run}`),
  ...audit.flatMap(({ what, at }) => {
    const begun = reports.flatMap(({ text }) => stepsOf(text)).filter(({ step }) => step === 'migrate')
    return reports.length === 0 || begun.some(({ startedAt }) => startedAt <= at)
      ? []
      : [`${what} took effect at ${at}, and no report has a migrate step before it`]
  }),
]

function stepsOf(text: string | undefined): { step: string; startedAt: string }[] {
  if (text === undefined) return []
  const parsed: unknown = JSON.parse(text)
  const steps: unknown = parsed && typeof parsed === 'object' && 'steps' in parsed ? parsed.steps : []
  return Array.isArray(steps) ? steps : []
}

/** 11. No secret in arguments, histories, logs, reports, file names. */
const noSecretTold: Invariant = ({ watched, told, reports, scene }) => [
  ...watched.told.map((program) => `the arguments of ${program}`),
  ...told,
  ...reports
    .filter(({ text }) => scene.secrets.some((secret) => text?.includes(secret)))
    .map(({ run }) => `the report of ${run}`),
]

/** 12. What was frozen is as it was. */
const symmetric: Invariant = ({ before, now }, outcome) =>
  outcome === 'needs-operator' ? [] : differences(around(before.database), around(now.database))

const around = (snapshot: Snapshot): Snapshot =>
  Object.fromEntries(Object.entries(snapshot).filter(([key]) => /^(database|setting of) /.test(key)))

/** 13. Nothing is stuck without saying so. */
const visible: Invariant = ({ executions }) =>
  executions
    .filter(({ status, waits, stuck }) => status === 'RUNNING' && (stuck || !waits))
    .map(({ workflowId, type, stuck }) => `${workflowId} (${type}) ${stuck ? 'cannot go on' : 'still runs'}`)

/** 14. Others on the server are left alone. */
const othersUntouched: Invariant = ({ before, now, watched }) => [
  ...differences(before.bystander, now.bystander).map((text) => `elsewhere: ${text}`),
  ...(before.session === now.session || before.server !== now.server
    ? []
    : [`a session elsewhere was ${before.session}, is ${now.session || 'gone'}`]),
  ...watched.waited,
]

/** 15. Who only looks changes nothing: where no run began, all is as before. */
const lookingIsFree: Invariant = ({ before, now, left }, outcome) =>
  outcome === 'none' && (left.length > 0 || differences(before.database, now.database).length > 0)
    ? ['nothing ran, and something is different']
    : []

const INVARIANTS: readonly Invariant[] = [
  atAStatedPlace,
  asTheOutcomeSays,
  alwaysABackup,
  nothingLost,
  oneAtATime,
  nothingLeft,
  atMostOnce,
  approved,
  compatible,
  reported,
  noSecretTold,
  symmetric,
  visible,
  othersUntouched,
  lookingIsFree,
]
