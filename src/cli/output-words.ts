import { plain } from '../domain/text.js'

/** `1.2 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const two = (n: number): string => String(n).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${two(Math.floor(seconds % 60))} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48
    ? `${hours} h ${two(minutes % 60)} min`
    : `${Math.floor(hours / 24)} d${hours % 24 === 0 ? '' : ` ${hours % 24} h`}`
}

/** `12:03:04`, UTC: as in the names of runs. */
export const clock = (at: number): string => new Date(at).toISOString().slice(11, 19)

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

/** On one line, safe on a terminal. */
export const line = (text: string): string => plain(text).replace(/\s+/g, ' ').trim()

/** A migration's version and name; `0042_add_email` needs no `add email` behind it. */
export function titleOf(version: string, name: string): string {
  const letters = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')
  return letters(version).includes(letters(name)) ? line(version) : `${line(version)} ${line(name)}`
}

/** Columns of a table, as wide as they must be; the last one is as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, cell.length)
    })
  return rows.map((row) =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

export const shortDigest = (digest: string): string => digest.slice(0, 12)
