import { z } from 'zod'

/** Project and environment names: short, so that every identifier built from them fits in PostgreSQL's 63 bytes. */
export const Name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,19}$/, 'a name is 1 to 20 of a-z, 0-9 and -, and starts with a letter')
/** An image tag as the OCI distribution specification allows it; never starts with a dash or a dot. */
export const Tag = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/, 'a tag is 1 to 128 of letters, digits, . _ -')
/** A run's name: `<environment>-<yyyymmdd>-<hhmmss>`, with `-2` and so on when two would fall into one second. */
export const RunName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,19}-\d{8}-\d{6}(-\d{1,3})?$/, 'a run is named like production-20261120-103015')

const two = (n: number): string => String(n).padStart(2, '0')
const day = (at: Date): string => `${at.getUTCFullYear()}${two(at.getUTCMonth() + 1)}${two(at.getUTCDate())}`
const time = (at: Date): string => `${two(at.getUTCHours())}${two(at.getUTCMinutes())}${two(at.getUTCSeconds())}`

export const workflowId = (project: string, environment: string): string => `headgate/${project}/${environment}`
export const backupWorkflowId = (project: string, environment: string): string =>
  `headgate/${project}/${environment}/backup`
/** A backup has a recovery of its own: it may have to wait for another run's. */
export const recoverWorkflowId = (project: string, environment: string, kind: 'backup' | 'run' = 'run'): string =>
  kind === 'backup' ? `headgate/${project}/${environment}/backup/recover` : `headgate/${project}/${environment}/recover`
export const lookWorkflowId = (project: string, environment: string, command: string, nonce: string): string =>
  `headgate/${project}/${environment}/look/${command}/${nonce}`
export const serviceCallWorkflowId = (project: string, environment: string, service: string, nonce: string): string =>
  `headgate/${project}/${environment}/service/${service}/${nonce}`
export const taskQueue = (project: string, environment: string): string => `headgate-${project}-${environment}`

/** The run's name from the time its workflow started, in UTC. */
export const runName = (environment: string, startedAt: Date): string =>
  `${environment}-${day(startedAt)}-${time(startedAt)}`

/** When the run with this name was started, to the second. */
export function startedAtOf(run: string): Date {
  const [, year, month, date, hour, minute, second] =
    /-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(?:-\d{1,3})?$/.exec(run) ?? []
  return new Date(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`)
}

/** The environment of a run's name. */
export const environmentOf = (run: string): string => run.replace(/-\d{8}-\d{6}(-\d{1,3})?$/, '')

/** `pre_migration_YYYYMMDD_HHMMSS-s<stage>e<epoch>`: the runbooks' habit, plus what makes it unique. */
export const backupName = (at: Date, stage: number, epoch: number): string =>
  `pre_migration_${day(at)}_${time(at)}-s${stage}e${epoch}`

/** Cuts to `bytes` of UTF-8 without splitting a character: PostgreSQL cuts identifiers at 63 bytes silently. */
function cut(text: string, bytes: number): string {
  let kept = ''
  let size = 0
  for (const char of text) {
    size += new TextEncoder().encode(char).length
    if (size > bytes) return kept
    kept += char
  }
  return kept
}

/** 4 hex digits of FNV-1a over `text`: tells apart names that are equal once cut. Not a secret, not a checksum. */
function hash4(text: string): string {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return ((hash >>> 16) ^ (hash & 0xffff)).toString(16).padStart(4, '0')
}

const stamped = (database: string, kind: 'q' | 'c' | 'r', at: Date, seed: string): string =>
  `${cut(database, 35)}__${kind}_${day(at).slice(2)}${time(at)}_${hash4(`${database}/${seed}`)}`

/** Where the written database is kept after a swap. */
export const quarantineName = (database: string, at: Date, seed: string): string => stamped(database, 'q', at, seed)
/** A clone kept as a backup. */
export const cloneName = (database: string, at: Date, seed: string): string => stamped(database, 'c', at, seed)
/** A database a dump is being restored into, before the swap. */
export const restoreName = (database: string, at: Date, seed: string): string => stamped(database, 'r', at, seed)

/** Carries a run that a person has taken over with SQL alone, as docs/recovery.md has it: no workflow acts for it any more. */
export const BY_HAND = 'by hand'

/** Names the workflow that carries a run. A recovery is named by its execution: each takes over from the one before. */
export const carrierOf = ({ workflowId, runId }: { workflowId: string; runId: string }): string =>
  /^headgate\/[^/]+\/[^/]+\/(backup\/)?recover$/.test(workflowId) ? `${workflowId}/${runId}` : workflowId

/** The execution that `carrierOf` named; without `runId` the newest of the workflow. */
export function executionCarrying(carrier: string): { workflowId: string; runId: string | undefined } {
  const [, workflowId, runId] = /^(headgate\/[^/]+\/[^/]+\/(?:backup\/)?recover)\/([^/]+)$/.exec(carrier) ?? []
  return { workflowId: workflowId ?? carrier, runId }
}

/** A session in which a tool tells of the ledger that it alone knows: it can only read. */
export const STATUS_SESSION = 'headgate status'

/** `application_name` of a session: `hg:<8 hex of journal, cluster, database>:<epoch>:<step>`. */
export const applicationName = (scope: string, epoch: number, step: string): string =>
  `hg:${scope}:${epoch}:${step}`.slice(0, 63)

/** Reads an `application_name` of ours; undefined for anybody else's. */
export function parseApplicationName(name: string): { scope: string; epoch: number; step: string } | undefined {
  const match = /^hg:([0-9a-f]{8}):(\d{1,12}):(.*)$/.exec(name)
  return match ? { scope: match[1] ?? '', epoch: Number(match[2]), step: match[3] ?? '' } : undefined
}
