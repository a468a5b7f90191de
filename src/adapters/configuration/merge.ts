import { isWrittenMap, type WrittenMap } from './written.js'

/** Of another kind only where both say so: what does not write its kind completes the other. */
function differsInKind(below: WrittenMap, above: WrittenMap): boolean {
  const kinds = [below.value.get('kind')?.value, above.value.get('kind')?.value]
  return kinds.every((kind) => kind !== undefined) && kinds[0] !== kinds[1]
}

/** `above` over `below`: maps key by key unless their `kind` differs, everything else (lists too) replaced. */
export function merge(below: WrittenMap, above: WrittenMap): WrittenMap {
  if (differsInKind(below, above)) return above
  const merged = new Map(below.value)
  for (const [key, entry] of above.value) {
    const under = merged.get(key)
    merged.set(key, isWrittenMap(entry) && isWrittenMap(under) ? merge(under, entry) : entry)
  }
  return { ...above, value: merged }
}

/** Without the keys whose value is `null`: in maps it means "nothing here", in lists (what a check expects) it is a value. */
export function withoutNulls(written: WrittenMap): WrittenMap {
  const kept = [...written.value].filter(([, entry]) => entry.value !== null)
  return {
    ...written,
    value: new Map(kept.map(([key, entry]) => [key, isWrittenMap(entry) ? withoutNulls(entry) : entry])),
  }
}
