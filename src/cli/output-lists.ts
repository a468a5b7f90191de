import { duration, moment, size } from '../domain/amounts.js'
import type { LookAnswers } from '../domain/look.js'
import { line, plural, table } from './output-words.js'

export function infoLines(
  environment: string,
  tag: string | undefined,
  { database, dirty, migrations, problems, edited }: LookAnswers['info'],
): string[] {
  const pending = migrations.filter(({ state }) => state === 'pending').length
  return [
    ...migrations.map(
      ({ version, state, name, phase }) =>
        `${line(version)}/${state}: ${line(name)}${phase === 'contract' ? ' (contract)' : ''}`,
    ),
    ...(dirty === undefined ? [] : [`the ledger marks ${line(dirty)} as half done`]),
    ...(problems ?? []).map((problem) => `no: ${line(problem)}`),
    ...(edited ?? []).map((one) => `warn: ${line(one)}`),
    `${line(database)}: ${plural(migrations.length - pending, 'migration')} installed, ${pending} pending`,
    pending === 0
      ? `next  headgate history ${environment}`
      : `next  headgate plan ${environment}${tag === undefined ? '' : ` --tag ${tag}`}`,
  ]
}

export function historyLines(environment: string, { runs, cursor }: LookAnswers['history']): string[] {
  if (runs.length === 0) return [`${environment}: no runs so far`, `next  headgate plan ${environment} --tag TAG`]
  const rows = runs.map(({ run, kind, tag, state, outcome, startedAt, endedAt, by, reason }) => [
    run,
    `${kind}${tag === undefined ? '' : ` ${tag}`}`,
    outcome ?? state,
    endedAt === undefined ? '' : duration(Date.parse(endedAt) - Date.parse(startedAt)),
    line(by),
    line(reason ?? ''),
  ])
  return [
    ...table([['RUN', 'WHAT', 'OUTCOME', 'TOOK', 'BY', 'REASON'], ...rows]),
    ...(cursor === undefined ? [] : [`more  headgate history ${environment} --before ${cursor}`]),
    `next  headgate report ${runs[0]?.run}`,
  ]
}

export function backupsLines(environment: string, { store, backups, cursor }: LookAnswers['backups']): string[] {
  if (backups.length === 0)
    return [`${environment}: no backups in ${line(store)}`, `next  headgate backup ${environment}`]
  const rows = backups.map(({ name, kind, state, gate, tag, takenAt, bytes, run }) => [
    `${name}/${kind}`,
    state,
    `gate ${gate}`,
    moment(takenAt),
    size(Number(bytes)),
    tag ?? '',
    run,
  ])
  return [
    ...table([['BACKUP', 'STATE', 'TAKEN WITH', 'AT', 'SIZE', 'TAG', 'BY RUN'], ...rows]),
    ...(cursor === undefined ? [] : [`more  headgate backups list ${environment} --after ${cursor}`]),
    `dumps are in ${line(store)}, clones beside the database`,
    `next  headgate backups verify ${environment} ${rows[0]?.[0]}`,
  ]
}

export function backupLines(environment: string, backup: LookAnswers['backup']): string[] {
  const {
    name,
    kind,
    gate,
    run,
    stage,
    tag,
    takenAt,
    bytes,
    database,
    serverVersion,
    location,
    ledger,
    files,
    schema,
    tables,
  } = backup
  return [
    `${name}/${kind}`,
    `  taken     ${moment(takenAt)}, by ${run}, before stage ${stage}, gate ${gate}`,
    `  of        ${line(database)} on PostgreSQL ${line(serverVersion)}${tag === undefined ? '' : `, tag ${tag}`}, at ${line(ledger.at(-1) ?? 'no version')}`,
    `  in        ${line(location)}, ${size(Number(bytes))}${kind === 'dump' ? `, ${plural(files, 'file')}` : ''}`,
    `  schema    ${schema.slice(0, 12)}, ${plural(tables.length, 'table')}`,
    ...table(tables.map(({ table: at, rows }) => [`            ${line(at)}`, plural(Number(rows), 'row')])),
    `next  headgate restore ${environment} ${name}/${kind}`,
  ]
}

/** These only tell what a run cannot do here; it runs all the same. */
const REMARKS = new Set(['automatic restore', 'rights', 'backups', 'notifier'])

/** Whether a finding stands in the way of a run. */
export const isInTheWay = ({ what, ok }: LookAnswers['doctor']['lines'][number]): boolean =>
  !ok && !REMARKS.has(what) && !what.startsWith('check ')

export function doctorLines({ host, lines, grants }: LookAnswers['doctor']): string[] {
  const mark = (found: (typeof lines)[number]): string => (found.ok ? 'ok' : isInTheWay(found) ? 'no' : '--')
  return [
    `on ${line(host)}:`,
    ...lines.map((found) => `  ${mark(found)}  ${line(found.what).padEnd(20)}  ${line(found.found)}`),
    ...(grants.length > 0
      ? ['', 'What is missing, for a superuser to grant:', ...grants.map((grant) => `  ${grant}`)]
      : []),
  ]
}
