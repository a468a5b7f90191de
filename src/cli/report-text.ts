import type { Report } from '../domain/report.js'
import { plain } from '../domain/text.js'
import { line, table } from './output-words.js'
import { type Section, sectionsOf } from './report-sections.js'

/** A run's report for a terminal: what the Markdown says, aligned. */
export function reportLines(report: Report): string[] {
  const { title, facts, sections } = sectionsOf(report)
  const width = Math.max(...facts.map(([name]) => name.length))
  return [
    line(title),
    ...facts.map(([name, value]) => `  ${name.padEnd(width)}  ${line(value)}`),
    ...sections.flatMap((section) => ['', line(section.title), ...linesOf(section).map((text) => `  ${text}`)]),
  ]
}

const linesOf = (section: Section): string[] =>
  'rows' in section
    ? table([section.columns.map((name) => name.toUpperCase()), ...section.rows.map((cells) => cells.map(line))])
    : plain(section.text).trimEnd().split('\n')
