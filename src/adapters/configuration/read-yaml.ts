import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml'
import { type Problem, quoted } from './problem.js'
import { type Place, pathTo, type Written } from './written.js'

/** Values of a file, with those that its aliases stand for: far above any real one, far below what would fill memory or an hour. */
const MOST_VALUES = 10_000
/** Keys that reach an object's prototype instead of becoming an entry. */
const PROTOTYPE_KEYS = new Set(['__proto__', 'constructor', 'prototype'])
/** The parser's own messages quote the file, which may hold secrets: these say the same without. */
const SYNTAX: Record<string, string> = {
  BAD_ALIAS: 'an alias has no anchor above it',
  BAD_DQ_ESCAPE: 'unknown escape in double quotes: use single quotes, or \\\\ for a backslash',
  BAD_INDENT: 'wrong indentation: entries of one block start in one column',
  BAD_SCALAR_START: 'a value that starts like this needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'two keys in one line: put the second below, or use quotes',
  BLOCK_IN_FLOW: 'a block cannot stand inside [ ] or { }',
  MISSING_CHAR: 'something is missing here: a colon, a comma, a closing quote, ] or }',
  MULTILINE_IMPLICIT_KEY: 'a key must stand on one line, with a colon and a space behind it',
  MULTIPLE_DOCS: 'a second document starts here: one file is one project',
  TAB_AS_INDENT: 'a tab cannot indent: use spaces',
  TAG_RESOLVE_FAILED: 'unknown tag: values are text, numbers, true, false, null, lists and mappings',
  UNEXPECTED_TOKEN: 'unexpected here: is a quote, comma or bracket missing before it?',
}

/** `{ url: ${env:X} }`: YAML takes the brace for a mapping. */
const BARE_REFERENCE = /[{[,][^\n]{0,200}[:,[] {0,9}\$\{/

interface Reading {
  placeOf(offset: number | undefined): Place
  problems: Problem[]
  anchors: Map<string, Node>
  /** Aliases being followed: one that comes back to itself has no end. */
  following: Set<Node>
  values: number
}

/** Parses `text`; either problems or the tree. Anchors work; what an alias stands for is limited. */
export function readYaml(
  text: string,
): { root: Written; problems: Problem[] } | { root: undefined; problems: Problem[] } {
  const lineCounter = new LineCounter()
  const placeOf = (offset = 0): Place => {
    const { line, col } = lineCounter.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  try {
    const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: 'error' })
    const problems = explainSyntax(text, [...document.errors, ...document.warnings], placeOf)
    if (problems.length > 0 || document.contents === null) return { root: undefined, problems }
    const reading = { placeOf, problems, anchors: new Map(), following: new Set<Node>(), values: 0 }
    const root = readNode(document.contents, '', undefined, reading)
    return problems.length > 0 ? { root: undefined, problems } : { root, problems }
  } catch (error) {
    // Brackets nested by the ten thousand end the parser's stack.
    if (error instanceof RangeError) return { root: undefined, problems: [{ text: 'nested too deeply' }] }
    throw error
  }
}

/** The first problem of each line: the others mostly follow from it. */
function explainSyntax(text: string, errors: readonly YAMLError[], placeOf: Reading['placeOf']): Problem[] {
  const first = new Map<number, Problem>()
  for (const { code, pos } of errors) {
    const at = placeOf(pos[0])
    if (first.has(at.line)) continue
    const end = text.indexOf('\n', pos[0])
    const line = text.slice(text.lastIndexOf('\n', pos[0] - 1) + 1, end < 0 ? undefined : end).slice(0, 1_000)
    const explained = BARE_REFERENCE.test(line) ? 'inside { } and [ ] a reference needs quotes' : SYNTAX[code]
    first.set(at.line, { at, text: explained ?? 'this is not YAML' })
  }
  return [...first.values()]
}

function readNode(node: Node, path: string, key: Place | undefined, reading: Reading): Written {
  const at = reading.placeOf(node.range?.[0])
  const written = { path, key: key ?? at, at }
  reading.values += 1
  if (reading.values === MOST_VALUES)
    reading.problems.push({
      at,
      text: `the file has more than ${MOST_VALUES} values, with those that aliases stand for`,
    })
  if (reading.values >= MOST_VALUES) return { ...written, value: null }
  if (isAlias(node)) return readAlias(node, written, reading)
  if (node.anchor !== undefined && (isMap(node) || isSeq(node) || isScalar(node)))
    reading.anchors.set(node.anchor, node)
  if (isSeq<Node>(node)) {
    return {
      ...written,
      value: node.items.map((item, index) => readNode(item, pathTo(path, index), undefined, reading)),
    }
  }
  if (isMap<Node, Node | null>(node)) return { ...written, value: readEntries(node, path, reading) }
  const value = isScalar(node) ? node.value : undefined
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null) {
    return { ...written, value }
  }
  reading.problems.push({ at, text: SYNTAX.TAG_RESOLVE_FAILED ?? '' })
  return { ...written, value: null }
}

function readAlias(alias: Alias, written: Omit<Written, 'value'>, reading: Reading): Written {
  const target = reading.anchors.get(alias.source)
  if (target === undefined || reading.following.has(target)) {
    reading.problems.push({ at: written.at, text: SYNTAX.BAD_ALIAS ?? '' })
    return { ...written, value: null }
  }
  reading.following.add(target)
  const { value } = readNode(target, written.path, written.key, reading)
  reading.following.delete(target)
  return { ...written, value }
}

function readEntries(map: YAMLMap<Node, Node | null>, path: string, reading: Reading): Map<string, Written> {
  const entries = new Map<string, Written>()
  for (const { key: keyNode, value } of map.items) {
    const key = reading.placeOf(keyNode.range?.[0])
    const name = isScalar(keyNode) && keyNode.value !== null ? String(keyNode.value) : undefined
    if (name === undefined)
      reading.problems.push({ at: key, text: 'a key must be text; quote values that start with {' })
    else if (PROTOTYPE_KEYS.has(name))
      reading.problems.push({ at: key, text: `the key ${quoted(name)} is not allowed` })
    else if (entries.has(name)) reading.problems.push({ at: key, text: `the key ${quoted(name)} stands here twice` })
    else if (value === null) entries.set(name, { path: pathTo(path, name), key, at: key, value: null })
    else entries.set(name, readNode(value, pathTo(path, name), key, reading))
  }
  return entries
}
