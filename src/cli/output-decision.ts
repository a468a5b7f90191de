import { moment } from '../domain/amounts.js'
import type { Report } from '../domain/report.js'
import type { RunState } from '../domain/run.js'
import { line, shortDigest } from './output-words.js'

/** What would be approved. */
export function decisionLines(state: RunState, migrations: Report['migrations']): string[] {
  const { run, stage, digest, database, tag, deadline } = state
  const own = migrations.filter((one) => one.stage === stage)
  const wait = state.lines.findLast(({ step, state }) => step === 'await-approval' && state === 'waiting')
  return [
    line(`${run}${tag === undefined ? '' : `, tag ${tag}`}, database ${database}`),
    `  stage   ${stage}: ${line(wait?.text ?? 'waits for approval').replace(/^wait for approval of /, '')}`,
    ...own.map(({ version, name }) => `          ${line(version)}${name === version ? '' : `, ${line(name)}`}`),
    `  plan    ${shortDigest(digest)}${own.length === 0 ? '' : `; its SQL: headgate plan ${run}`}`,
    ...(deadline === undefined ? [] : [`  until   ${moment(deadline)}`]),
  ]
}

export const decisionAsked = ({ stage, digest }: RunState): string =>
  `Approve stage ${stage} of plan ${shortDigest(digest)}? [y/N] `
