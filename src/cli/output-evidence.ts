import { moment } from '../domain/amounts.js'
import type { LookAnswers } from '../domain/look.js'
import { line } from './output-words.js'

const EVIDENCE_LINES = 8

type Evidence = LookAnswers['evidence']

/** What is known of a run that stopped, newest steps last. */
export function evidenceLines(evidence: Evidence, isLocal = false): string[] {
  const { report, database, gate, others, contractStarted, consumers, services, autodeploys = [] } = evidence
  const { proposed, rebuilt, byHand, earlier = [], blocked = [] } = evidence
  const failed = report.steps.findLast(({ state }) => state === 'failed')
  const unknown = report.steps.findLast(({ state }) => state === 'intended')
  return [
    line(
      `${report.run}: ${report.kind}${report.tag === undefined ? '' : ` of tag ${report.tag}`}${report.mendedWith === undefined ? '' : `, mended with ${report.mendedWith}`}, database ${report.database}, since ${moment(report.startedAt)}`,
    ),
    ...(report.ending === undefined
      ? [
          `  ended      no: ${byHand ? 'a person has taken it over by hand' : isLocal ? 'its workflow is in the Temporal that is away' : 'its workflow is gone'}`,
        ]
      : [`  stopped    ${line(report.ending.reason)}`]),
    ...earlier.map((reason) => `  before     ${line(reason)}`),
    ...(failed ? [`  failed     ${failed.step}, attempt ${failed.attempt}: ${line(failed.note)}`] : []),
    ...lastLines(failed?.evidence ?? '').map((text) => `             | ${text}`),
    ...(unknown ? [`  unknown    ${unknown.step}, attempt ${unknown.attempt}: nobody knows how it ended`] : []),
    ...(rebuilt === undefined ? [] : [`  journal    ${line(rebuilt)}`]),
    `  database   ${line(database)}`,
    `  gate       ${gateWords(gate, others, contractStarted)}`,
    ...(blocked.length === 0 ? [] : [`  blocked    nobody can log in as ${blocked.map(line).join(', ')}`]),
    ...services.map(({ name, current }) => `  service    ${line(name)} runs ${line(current)}`),
    ...consumers.map(
      ({ name, state, touched }) =>
        `  consumer   ${line(name)} is ${line(state)}${touched ? ', paused by the run' : ''}`,
    ),
    ...autodeploys.map(
      ({ name, state, touched }) => `  autodeploy ${line(name)} is ${line(state)}${touched ? ', held by the run' : ''}`,
    ),
    ...report.backups.map(({ name, kind, state }) => `  backup     ${name}/${kind}, ${state}`),
    ...(proposed === undefined
      ? []
      : [`  proposed   ${proposed.do === 'ask' ? 'nothing' : proposed.do}: ${line(proposed.why)}`]),
    `  more       headgate report ${report.run}`,
    '',
    ...choiceLines(
      gate === 'closed' && others === undefined,
      contractStarted,
      report.backups.some(({ state }) => state === 'valid'),
    ),
  ]
}

/** Of what the step's tool said; the report has all that is kept of it. */
const lastLines = (text: string): string[] =>
  text
    .split('\n')
    .map(line)
    .filter((one) => one !== '')
    .slice(-EVIDENCE_LINES)

function gateWords(gate: Evidence['gate'], others: string | undefined, contractStarted: boolean): string {
  const contract = contractStarted ? '; a contract migration may have committed' : ''
  const words = {
    closed:
      others === undefined ? 'closed since the backup: nobody else wrote' : `closed, but not proven: ${line(others)}`,
    open: 'open since the backup: others may have written',
    'never closed': 'never closed: others may have written',
  }
  return `${words[gate]}${contract}`
}

function choiceLines(nobodyWrote: boolean, contractStarted: boolean, hasBackup: boolean): string[] {
  const lost = nobodyWrote ? 'nothing is lost' : 'writes since the backup leave the live database'
  return [
    '  finish     go on from where it stopped',
    '  fix        go on with a release that mends it: --tag TAG, or the same one with mended files',
    hasBackup
      ? `  restore    put the backup back: ${lost}, what is live now is kept as quarantine`
      : '  restore    not possible: there is no valid backup',
    contractStarted
      ? '  redeploy   refused where a service was restarted: the previous image cannot run on this schema'
      : '  redeploy   leave the database, put the previous image back',
    '  accept     leave everything as it is, let writers and consumers in',
  ]
}

export const choicesAsked = (): string => 'finish, fix, restore, redeploy or accept? (anything else: leave it) '
