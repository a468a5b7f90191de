import { failure } from '../../domain/failures.js'

/** One line of `sqlx migrate info`, as programs print it that have sqlx compiled in: `20240101000000/installed: initial schema`. */
const LINE = /^\s*(\d{1,19})\/(installed|pending)( \(different checksum\))?:?\s*(.*?)\s*$/
const COLOUR = /\u001b\[[\d;]*m/g

export interface SqlxInfo {
  version: string
  name: string
  state: 'applied' | 'pending'
  /** By the name alone, which is all that is printed. */
  phase: 'expand' | 'contract'
  /** Nobody knows: then nothing is taken for undone by itself. */
  transactional: false
}

/** What the lines say; others are passed over. Throws `PlanInvalid` for a migration that was edited after it was applied. */
export function parseSqlxInfo(text: string): SqlxInfo[] {
  return text.split('\n').flatMap((line): SqlxInfo[] => {
    const [, version, state, edited, name] = LINE.exec(line.replace(COLOUR, '')) ?? []
    if (version === undefined) return []
    if (edited !== undefined)
      throw failure('PlanInvalid', `migration ${version} was edited after it was applied: its checksum is another one`)
    const phase = /[.]contract$/.test(name ?? '') ? 'contract' : 'expand'
    const applied = state === 'installed' ? 'applied' : 'pending'
    return [{ version, name: name || version, state: applied, phase, transactional: false }]
  })
}
