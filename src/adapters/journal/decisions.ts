import type { Journal, Statement } from './journal.js'

export interface DecisionRecord {
  stage: number
  decision: string
  by: string
  verified: boolean
  accepted: boolean
  digest: string
  note: string
  at: Date
}

export async function recordDecision(
  journal: Journal,
  run: string,
  decision: Omit<DecisionRecord, 'at'>,
): Promise<void> {
  await journal.write((sql) => insertDecision(sql, run, { ...decision, at: undefined }))
}

/** As `recordDecision`, in a transaction that is under way; `at`: where it was made earlier. */
export const insertDecision = (
  sql: Statement,
  run: string,
  { stage, decision, by, verified, accepted, digest, note, at }: Omit<DecisionRecord, 'at'> & { at: Date | undefined },
): Promise<unknown> =>
  sql(
    `insert into decisions (run, stage, decision, by_whom, verified, accepted, digest, note, at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, clock_timestamp()))`,
    [run, stage, decision, by, verified, accepted, digest, note, at?.toISOString() ?? null],
  )

export async function listDecisions(journal: Journal, run: string): Promise<DecisionRecord[]> {
  return journal.read<DecisionRecord>(
    'select stage, decision, by_whom as by, verified, accepted, digest, note, at from decisions where run = $1 order by id',
    [run],
  )
}
