/** One statement of a file. */
export interface Statement {
  /** As written, without the semicolon. */
  sql: string
  /** For recognising it: comments gone, texts emptied, lower case outside of quoted names, single spaces. */
  words: string
  /** Of its first word, from 1. */
  line: number
}

/** What stands at one place, as PostgreSQL's lexer would take it; `shown` is what `words` keeps of it. */
interface Token {
  kind: 'blank' | 'text' | 'word' | 'open' | 'close' | 'semicolon' | 'other'
  end: number
  shown: string
}

const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const NUMBER = /\d[\w.]*/y
const BLANK = /\s+/y
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
const PARAMETER = /\$\d+/y
const PLAIN_TEXT = /'(?:[^']|'')*(?:'|$)/y
const ESCAPED_TEXT = /[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)/y
const QUOTED_NAME = /(?:[uU]&)?"(?:[^"]|"")*(?:"|$)/y
const LINE_COMMENT = /--[^\n]*/y
const ROUTINE = /^create (?:or replace )?(?:function|procedure)\b/

function match(pattern: RegExp, sql: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(sql)?.[0]
}

/** Cuts a file into its statements; what is only comment is none. An unclosed quote takes the rest: the server will say so. */
export function splitStatements(sql: string): Statement[] {
  const statements: Statement[] = []
  let current = { from: -1, words: '', parentheses: 0, blocks: 0 }
  let line = { number: 1, at: 0 }
  const finish = (end: number): void => {
    const words = current.words.trim()
    if (current.from >= 0) {
      line = { number: line.number + lineAt(sql.slice(line.at, current.from), current.from) - 1, at: current.from }
      statements.push({ sql: sql.slice(current.from, end).trimEnd(), words, line: line.number })
    }
    current = { from: -1, words: '', parentheses: 0, blocks: 0 }
  }
  for (let at = 0; at < sql.length; ) {
    const token = tokenAt(sql, at)
    if (token.kind === 'semicolon' && current.parentheses <= 0 && current.blocks === 0) finish(at)
    else {
      if (token.kind !== 'blank' && current.from < 0) current.from = at
      if (token.kind !== 'blank') current.words += token.shown
      else if (!current.words.endsWith(' ')) current.words += ' '
      if (token.kind === 'open') current.parentheses++
      if (token.kind === 'close') current.parentheses--
      if (token.kind === 'word') current.blocks = blocksAfter(token.shown, current)
    }
    at = token.end
  }
  finish(sql.length)
  return statements
}

/** `begin atomic ... end` bodies hold semicolons of their own; `case` ends with the same word. */
function blocksAfter(
  word: string,
  { blocks, words, parentheses }: { blocks: number; words: string; parentheses: number },
): number {
  if (parentheses > 0 && blocks === 0) return blocks
  if (word === 'begin' && ROUTINE.test(words.trimStart())) return blocks + 1
  if (blocks > 0 && word === 'case') return blocks + 1
  return blocks > 0 && word === 'end' ? blocks - 1 : blocks
}

function tokenAt(sql: string, at: number): Token {
  const make = (kind: Token['kind'], text: string, shown = text): Token => ({ kind, end: at + text.length, shown })
  const blank = match(BLANK, sql, at) ?? match(LINE_COMMENT, sql, at) ?? blockComment(sql, at)
  if (blank !== undefined) return make('blank', blank)
  const text = match(ESCAPED_TEXT, sql, at) ?? match(PLAIN_TEXT, sql, at) ?? dollarText(sql, at)
  if (text !== undefined) return make('text', text, `''`)
  const quoted = match(QUOTED_NAME, sql, at)
  if (quoted !== undefined) return make('other', quoted)
  const word = match(WORD, sql, at)
  if (word !== undefined) return make('word', word, word.toLowerCase())
  const other = match(PARAMETER, sql, at) ?? match(NUMBER, sql, at) ?? sql.charAt(at)
  return make(kindOf(other), other)
}

const kindOf = (character: string): Token['kind'] =>
  '(['.includes(character) ? 'open' : ')]'.includes(character) ? 'close' : character === ';' ? 'semicolon' : 'other'

/** Block comments nest. */
function blockComment(sql: string, at: number): string | undefined {
  if (!sql.startsWith('/*', at)) return undefined
  const marks = /\/\*|\*\//g
  marks.lastIndex = at
  for (let depth = 0, mark = marks.exec(sql); mark; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1
    if (depth === 0) return sql.slice(at, marks.lastIndex)
  }
  return sql.slice(at)
}

function dollarText(sql: string, at: number): string | undefined {
  const tag = match(DOLLAR, sql, at)
  if (tag === undefined) return undefined
  const end = sql.indexOf(tag, at + tag.length)
  return end < 0 ? sql.slice(at) : sql.slice(at, end + tag.length)
}

/** The line of an offset, from 1. */
export const lineAt = (sql: string, offset: number): number => sql.slice(0, offset).split('\n').length

/** The comments a file begins with, of SQL or of JavaScript and TypeScript: directives stand there. */
export function leadingComment(text: string): string {
  return /^(?:\s+|--[^\n]*|\/\/[^\n]*|#![^\n]*|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0] ?? ''
}
