import { RULES } from './review.js'

const row = ([name, { about, instead }]: [string, { about: string; instead: string }]): string =>
  `| \`${name}\` | ${about} | ${instead} |`

/** The page between its marks: one row for each rule. */
export const withRules = (page: string): string =>
  page.replace(/(<!-- rules -->\n)[\s\S]*(<!-- \/rules -->)/, (_, begin: string, end: string) =>
    [
      begin.trimEnd(),
      '',
      '| rule | what is found | instead |',
      '|---|---|---|',
      ...Object.entries(RULES).map(row),
      '',
      end,
    ].join('\n'),
  )
