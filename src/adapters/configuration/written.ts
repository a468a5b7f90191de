/** Where something stands in the file, both from 1. */
export interface Place {
  line: number
  column: number
}

export type Scalar = string | number | boolean | null

/** A value as the file holds it, with where: merging keeps this, so that every message can point at what was typed. */
export interface Written {
  /** As a person would say it: `environments.production.migrator.dir`. Empty for the whole file. */
  path: string
  /** Where its key stands; for what has none, where the value does. */
  key: Place
  at: Place
  value: Scalar | readonly Written[] | ReadonlyMap<string, Written>
}

export interface WrittenMap extends Written {
  value: ReadonlyMap<string, Written>
}
export interface WrittenList extends Written {
  value: readonly Written[]
}
export interface WrittenText extends Written {
  value: string
}
export type PlainMap = Record<string, unknown>

export const isWrittenMap = (written: Written | undefined): written is WrittenMap => written?.value instanceof Map
export const isWrittenList = (written: Written): written is WrittenList => Array.isArray(written.value)
export const isWrittenText = (written: Written): written is WrittenText => typeof written.value === 'string'
export const isPlainMap = (value: unknown): value is PlainMap =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value alone. Keys that would reach an object's prototype were refused when the file was read. */
export function plainValue(written: Written): unknown {
  if (isWrittenMap(written)) return plainMap(written)
  return isWrittenList(written) ? written.value.map(plainValue) : written.value
}

export const plainMap = (written: WrittenMap): PlainMap =>
  Object.fromEntries([...written.value].map(([key, entry]) => [key, plainValue(entry)]))

/** The entry of a map or list. */
export function entryOf(written: Written, key: PropertyKey): Written | undefined {
  if (isWrittenMap(written)) return written.value.get(String(key))
  return isWrittenList(written) && typeof key === 'number' ? written.value[key] : undefined
}

/** What stands at `path`, and how much of the path was found: what is missing has its parent's place. */
export function findWritten(root: Written, path: readonly PropertyKey[]): { found: Written; missing: PropertyKey[] } {
  let found = root
  for (const [depth, key] of path.entries()) {
    const next = entryOf(found, key)
    if (next === undefined) return { found, missing: path.slice(depth) }
    found = next
  }
  return { found, missing: [] }
}

/** Every text in it, in the order of the file. */
export function* textsIn(written: Written): Generator<WrittenText> {
  if (isWrittenText(written)) yield written
  else if (isWrittenMap(written)) for (const entry of written.value.values()) yield* textsIn(entry)
  else if (isWrittenList(written)) for (const item of written.value) yield* textsIn(item)
}

/** `path` and a key or an index behind it. */
export function pathTo(path: string, key: PropertyKey): string {
  if (typeof key === 'number') return `${path}[${key}]`
  return path === '' ? String(key) : `${path}.${String(key)}`
}
