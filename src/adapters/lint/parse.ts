import type { Node } from 'libpg-query'

/** One statement as PostgreSQL's grammar takes it. */
export interface Parsed {
  node: Node
  /** Of its first word, from 1. */
  line: number
}

/** Where the grammar stops, from 1. */
export interface NotParsed {
  message: string
  /** Whether the grammar says so; else the parser could not take it, which says nothing of the server. */
  isCertain: boolean
  line: number
  column: number
}

/** Loads a WebAssembly module of 2 MB: only where there is something to read. */
const library = (): Promise<typeof import('libpg-query')> => import('libpg-query')

/** Reads a file's statements with the grammar of PostgreSQL 18. A file that no parser can take (nested too deep) is a syntax error too. */
export async function parse(sql: string): Promise<Parsed[] | NotParsed> {
  if (isBlank(sql)) return []
  // The parser would stop there and say nothing; the server takes none.
  if (sql.includes('\0'))
    return { isCertain: true, message: 'a NUL character', line: lineOf(sql.slice(0, sql.indexOf('\0'))), column: 1 }
  const { hasSqlDetails, parse: parseSql } = await library()
  try {
    const { stmts = [] } = await parseSql(sql)
    const bytes = Buffer.from(sql)
    let line = 1
    let counted = 0
    // Its offsets are bytes, and begin behind the semicolon before.
    return stmts.flatMap(({ stmt, stmt_location: at = 0, stmt_len: length }) => {
      const text = bytes.subarray(at, length ? at + length : undefined).toString()
      const blank = BLANK.exec(text)?.[0] ?? ''
      line += lineOf(bytes.subarray(counted, at).toString()) - 1
      counted = at
      return stmt ? [{ node: stmt, line: line + lineOf(blank) - 1 }] : []
    })
  } catch (error) {
    const at = hasSqlDetails(error) ? (error.sqlDetails?.cursorPosition ?? 0) : 0
    const before = [...sql].slice(0, at).join('')
    return {
      isCertain: hasSqlDetails(error) && !/memory exhausted/.test(error.message),
      message: error instanceof Error ? error.message : String(error),
      line: lineOf(before),
      column: [...before.slice(before.lastIndexOf('\n') + 1)].length + 1,
    }
  }
}

/** White space and comments; of a nested one only the inner part. */
const BLANK = /^(?:\s+|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\/)*/

const isBlank = (sql: string): boolean => sql.replace(BLANK, '').replaceAll(';', '').trim() === ''
const lineOf = (before: string): number => before.split('\n').length

/** Every node of this kind, wherever it stands, in the order of the text. */
export function findAll(from: unknown, kind: string): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = []
  // Not by recursion: a statement may be nested deeper than calls may be.
  const left: [name: string, value: unknown][] = [['', from]]
  for (let next = left.pop(); next; next = left.pop()) {
    const [name, value] = next
    if (!isRecord(value)) continue
    if (name === kind) found.push(value)
    for (const entry of Object.entries(value).reverse()) left.push(entry)
  }
  return found
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** The last of a name's parts: what stands behind the schema. */
export function lastOf(names: readonly Node[] | undefined): string | undefined {
  const last = names?.at(-1)
  return last && 'String' in last ? last.String.sval : undefined
}
