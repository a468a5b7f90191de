import { plain } from '../domain/text.js'

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
