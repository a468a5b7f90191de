import type { Report } from '../domain/report.js'
import { plain } from '../domain/text.js'
import { type Section, sectionsOf } from './report-sections.js'

/** A run's report as Markdown. Whatever others wrote into it is text, never markup. */
export function reportMarkdown(report: Report): string {
  const { title, facts, sections } = sectionsOf(report)
  const parts = [`# ${text(title)}`, tableOf(['', ''], facts), ...sections.map(sectionOf)]
  return `${parts.join('\n\n')}\n`
}

const sectionOf = (section: Section): string =>
  `## ${text(section.title)}\n\n${'rows' in section ? tableOf(section.columns, section.rows) : block(section.text)}`

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [row(columns), row(columns.map(() => '-')), ...rows.map((cells) => row(cells.map(text)))].join('\n')
}

/** Text on one line: neither Markdown nor HTML nor a table's edge in it. */
const text = (value: string): string =>
  plain(value)
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[\\`*_{}[\]()#+!|~]/g, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')

/** Text as it is, in a fence that it cannot close. */
function block(value: string): string {
  const shown = plain(value).trimEnd()
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}text\n${shown}\n${fence}`
}
