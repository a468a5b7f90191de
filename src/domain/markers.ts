import { RuleName } from './review.js'
import { nearest } from './text.js'

/**
 * `headgate:WORD` where a comment begins, and `headgate: WORD` of what could be nothing else: prose that names us, an image of that
 * name, and strings are no markers.
 */
const MARKER =
  /^([ \t]*(?:--|\/\/|#|\/\*+|\*|"""|''')?[ \t]*)headgate:(?:([A-Za-z][^\s,;*"']*)|[ \t]+((?:phase=|no-transaction\b|waive[ \t]+[a-z-]+[ \t]*:)[^\s,;*"']*))/gm
const WAIVE = /^waive[ \t]+([a-z-]+)[ \t]*:[ \t]*\S/
const WORDS = ['phase=contract', 'phase=expand', 'no-transaction', 'waive']

/** Where a migrator hears of what: in all of its file, or in the comment at the top alone. */
export interface Markers {
  /** How much of the text is its leading comment. */
  leading: number
  /** What to write instead of a marker that this migrator does not hear. */
  instead?: Partial<Record<'no-transaction' | 'waive', string>>
}

/**
 * The first marker in the comments of a migration that would say nothing: one with a typing error, or in the wrong place.
 * `LINE:COLUMN: what is wrong, and what to write`; undefined where all are heard.
 */
export function unheardMarker(text: string, markers: Markers): string | undefined {
  for (const { 0: whole, 1: lead = '', 2: close, 3: apart, index } of text.matchAll(MARKER)) {
    if (index >= markers.leading && lead.trim() === '') continue
    const marker = whole.slice(lead.length)
    const word = close ?? apart ?? ''
    const rest = text.slice(index + whole.length - word.length).split('\n', 1)[0] ?? ''
    const why = apart === undefined ? whyUnheard(word, rest, index, markers) : `write it as headgate:${word}`
    if (why !== undefined) return `${text.slice(0, index).split('\n').length}:${lead.length + 1}: ${marker}: ${why}`
  }
  return undefined
}

function whyUnheard(word: string, rest: string, at: number, { leading, instead = {} }: Markers): string | undefined {
  const [, known] = /^(phase=(?:expand|contract)|no-transaction|waive)\b(?![=-])/.exec(word) ?? []
  if (known === undefined) {
    const meant = nearest(word, WORDS)
    return meant ? `did you mean headgate:${meant}?` : `there is no such marker; known: ${WORDS.join(', ')}`
  }
  const other = known === 'no-transaction' || known === 'waive' ? instead[known] : undefined
  if (other !== undefined) return other
  if (known !== 'waive') return at < leading ? undefined : 'it counts only in the comment at the top of the file'
  const [, rule] = WAIVE.exec(rest) ?? []
  if (rule === undefined) return 'write it as headgate:waive RULE: reason'
  if (RuleName.safeParse(rule).success) return undefined
  const meant = nearest(rule, RuleName.options)
  return `there is no rule ${rule}${meant ? `, did you mean ${meant}?` : ''}`
}
