import { z } from 'zod'
import type { BackupSummary, Manifest } from './manifest.js'
import { Name, Tag } from './names.js'
import { type Plan, type RunKind, Version } from './plan.js'
import type { MeasuredLock, Rehearsal } from './rehearsal.js'
import type { Report } from './report.js'
import type { Review } from './review.js'

/** What a command that only looks asks the worker. */
export const LookInput = z.strictObject({
  project: Name,
  environment: Name,
  command: z.enum([
    'plan',
    'info',
    'database',
    'history',
    'report',
    'backups',
    'backup',
    'verifyBackup',
    'doctor',
    'evidence',
    'rehearse',
  ]),
  tag: Tag.optional(),
  run: z.string().max(64).optional(),
  backup: z.string().max(128).optional(),
  /** Of `plan`: what a rollback to this version would do. */
  downTo: Version.optional(),
  /** Of `plan`: what a fix of the open run, by the release of this tag, would do. */
  fix: z.literal(true).optional(),
  /** Of `evidence`: a run that the journal has lost is opened again from its backup. */
  fromBackup: z.literal(true).optional(),
  /** Where the page before ended. */
  cursor: z.string().max(64).optional(),
})
export type LookInput = z.infer<typeof LookInput>
export type LookCommand = LookInput['command']

/** What a pending migration did to a copy. */
export interface RehearsedMigration {
  version: string
  at: string
  /** What was copied, and how large it was. */
  source: Rehearsal['source']
  bytes: number
  ms: number
  /** On each table the strongest lock, and how long it was held. */
  holds: MeasuredLock[]
  failed?: string
  /** Of a tool that applies all at once: whose figures are those of all. */
  measuredWith?: string
  /** Why the image of before does not get on with it. */
  previousFails?: string
}

/** What the worker answers, by command; at most one page. */
export interface LookAnswers {
  plan: { digest: string; plan: Plan; review: Review; blocks: string[]; rehearsed: RehearsedMigration[] }
  info: {
    database: string
    dirty?: string
    /** What does not fit between ledger and files: edited, missing, out of order. */
    problems?: string[]
    /** Applied, of a ledger that keeps no checksum, and another file now than the journal knows. */
    edited?: string[]
    migrations: { version: string; name: string; phase: 'expand' | 'contract'; state: 'installed' | 'pending' }[]
  }
  database: { database: string; protected: boolean }
  history: {
    runs: {
      run: string
      kind: RunKind
      tag?: string
      state: 'open' | 'ended'
      outcome?: string
      startedAt: string
      endedAt?: string
      by: string
      reason?: string
    }[]
    cursor?: string
  }
  report: Report
  backups: { store: string; backups: BackupSummary[]; cursor?: string }
  backup: Omit<Manifest, 'fingerprint' | 'files' | 'properties'> & {
    files: number
    schema: string
    tables: { table: string; rows: string }[]
  }
  rehearse: Rehearsal
  verifyBackup: { name: string; kind: Manifest['kind']; valid: boolean; found: string }
  doctor: { host: string; lines: { what: string; ok: boolean; found: string }[]; grants: string[] }
  evidence: {
    report: Report
    /** A person has taken it over with SQL alone. */
    byHand: boolean
    database: string
    gate: 'closed' | 'open' | 'never closed'
    /** Why a closed gate is not proven closed until now. */
    others?: string
    contractStarted: boolean
    consumers: { name: string; touched: boolean; state: string }[]
    services: { name: string; current: string }[]
    /** As whom nobody can log in, since the run has blocked them. */
    blocked?: string[]
    /** What deploys by itself. */
    autodeploys?: { name: string; touched: boolean; state: string }[]
    /** Why it had stopped before a recovery that failed, newest first. */
    earlier?: string[]
    /** What the look at a run that nobody carried found to be right. */
    proposed?: { do: string; why: string }
    /** Sessions of attempts that are at work on the database now. */
    atWork?: string[]
    /** Where the journal had lost the run: what it was opened anew from. */
    rebuilt?: string
  }
}
