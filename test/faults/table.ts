import { FAULTS, type FaultName } from './faults.js'
import type { Logged } from './log.js'

const names = Object.keys(FAULTS) as FaultName[]

/** The crash points that were covered so far, in Markdown: how often each fault came at each step, and what was wrong. */
export function faultTable(runs: readonly Logged[]): string {
  const counts = new Map<string, Map<FaultName, number>>()
  for (const { course, strikes, struck } of runs)
    for (const { fault, key } of strikes.slice(0, struck)) {
      const point = `${course} | ${key}`
      const row = counts.get(point) ?? new Map<FaultName, number>()
      row.set(fault, (row.get(fault) ?? 0) + 1)
      counts.set(point, row)
    }
  const wrong = runs.filter(({ violations }) => violations.length > 0)
  const unknown = wrong.filter(({ explained: what }) => what === undefined).length
  const explained = [...new Set(wrong.flatMap(({ explained: what }) => what ?? []))].map(
    (what) => `- ${wrong.filter((run) => run.explained === what).length} of ${what}`,
  )
  const used = names.filter((name) => [...counts.values()].some((row) => row.has(name)))
  return [
    `${runs.length} faulted runs. ${wrong.length} had a violation; ${unknown === 0 ? 'each is explained' : `${unknown} of them are not explained yet`}:`,
    '',
    ...explained,
    '',
    ...used.map((name) => `- \`${name}\`: ${FAULTS[name].text}`),
    '',
    `| course | stage and step | ${used.join(' | ')} |`,
    `|-|-|${used.map(() => '-:').join('|')}|`,
    ...[...counts].map(([point, row]) => `| ${point} | ${used.map((name) => row.get(name) ?? '').join(' | ')} |`),
  ].join('\n')
}

/** The page with the table between its marks. */
export function withTable(page: string, runs: readonly Logged[]): string {
  return page.replace(
    /(<!-- faults -->\n)[\s\S]*(<!-- \/faults -->)/,
    (_, begin: string, end: string) => `${begin}\n${faultTable(runs)}\n\n${end}`,
  )
}
