import type { Journal } from './journal.js'

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
  await journal.write((sql) =>
    sql(
      'insert into decisions (run, stage, decision, by_whom, verified, accepted, digest, note) values ($1, $2, $3, $4, $5, $6, $7, $8)',
      [
        run,
        decision.stage,
        decision.decision,
        decision.by,
        decision.verified,
        decision.accepted,
        decision.digest,
        decision.note,
      ],
    ),
  )
}

export async function listDecisions(journal: Journal, run: string): Promise<DecisionRecord[]> {
  return journal.read<DecisionRecord>(
    'select stage, decision, by_whom as by, verified, accepted, digest, note, at from decisions where run = $1 order by id',
    [run],
  )
}
