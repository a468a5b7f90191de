/** How many differences are told one by one. */
const TOLD = 10

/**
 * What lies between two looks at where a consumer stands: `orders/0 from 12 to 15`. What it reads for the first time is told from its
 * beginning, and what it has no position in any more to nothing.
 */
export function movedBetween(before: object, now: Readonly<Record<string, string>>): string[] {
  const was = new Map(Object.entries(before).map(([where, at]) => [where, String(at)]))
  const is = new Map(Object.entries(now))
  const moved = [...new Set([...was.keys(), ...is.keys()])]
    .filter((where) => was.get(where) !== is.get(where))
    .sort()
    .map((where) => `${where} from ${was.get(where) ?? 'its beginning'} to ${is.get(where) ?? 'nothing'}`)
  return moved.length <= TOLD ? moved : [...moved.slice(0, TOLD), `and ${moved.length - TOLD} more`]
}
