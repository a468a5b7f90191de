/** JSON with sorted keys and without undefined values: equal values give equal text, whatever order they were made in. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, at: unknown) =>
    typeof at === 'object' && at !== null && !Array.isArray(at)
      ? Object.fromEntries(Object.entries(at).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : at,
  )
}
