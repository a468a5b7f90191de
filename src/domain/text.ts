const HIDDEN = '***'

/** Each way a password is known by its surroundings: kept are the groups `before` and `after`. Lengths are bounded, so that no text makes them slow. */
const SURROUNDED = [
  /** `scheme://user:password@`; a password may hold `@` or `/`, a port followed by a path is no password. */
  /(?<before>\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:@/?#'"<>]{0,255}:)(?!\d{1,5}(?:[/?#]|$))[^\s'"<>]{1,1024}(?<after>@)/gi,
  /** `PGPASSWORD=x`, also as JSON or YAML. */
  /(?<before>PGPASSWORD["']?\s{0,4}[=:]\s{0,4})(?:'[^'\n]*'|"[^"\n]*"|[^\s'",]+)(?<after>)/g,
  /** libpq's `password=x` and `password='x y'`, and a URL's `?password=x`. */
  /(?<before>(?<![A-Za-z0-9_])(?:ssl)?password\s{0,4}=\s{0,4})(?:'(?:[^'\\]|\\.)*'|[^\s&'"]+)(?<after>)/gi,
  /** SQL's `PASSWORD 'x'`. */
  /(?<before>\bpassword\s{1,8})'(?:[^']|'')*'(?<after>)/gi,
]

/** Replaces every known secret and whatever looks like a password by `***`. May be called twice on the same text. */
export function redact(text: string, secrets: readonly string[] = []): string {
  const known = [...new Set(secrets)].filter((secret) => secret !== '').sort((a, b) => b.length - a.length)
  const escaped = known.map((secret) => secret.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  let redacted = known.length === 0 ? text : text.replace(new RegExp(escaped.join('|'), 'g'), HIDDEN)
  for (const pattern of SURROUNDED) redacted = redacted.replace(pattern, `$<before>${HIDDEN}$<after>`)
  return redacted
}

/** Terminal sequences: operating-system commands and other strings with their content, then control sequences, then single escapes. */
const SEQUENCES = [
  /(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?/g,
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?/g,
  /\x1b[ -/]*[0-~]?/g,
]
/** C0 and C1 without tab and newline, and the marks that reorder what a terminal shows. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Text that is safe on a terminal, in a report and in JSON: no ANSI or control characters but newline and tab; what is not UTF-8 becomes U+FFFD. */
export function plain(text: string | Uint8Array): string {
  let shown = typeof text === 'string' ? text : new TextDecoder().decode(text)
  for (const sequence of SEQUENCES) shown = shown.replace(sequence, '')
  return shown.replace(CONTROLS, '').replace(/\p{Surrogate}/gu, '\ufffd')
}

/** The end of `text`, at most `bytes` of UTF-8, never half a character. */
export function tail(text: string, bytes: number): string {
  if (bytes <= 0) return ''
  const encoded = new TextEncoder().encode(text.slice(-bytes))
  if (encoded.length <= bytes) return text.slice(-bytes).replace(/^[\udc00-\udfff]/, '')
  let from = encoded.length - bytes
  while (from < encoded.length && ((encoded[from] ?? 0) & 0xc0) === 0x80) from++
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(encoded.subarray(from))
}

/** The JSON that a program printed, alone or on its last line: it may say other things before. Undefined when there is none. */
export function jsonIn(printed: string): unknown {
  for (const candidate of [printed, printed.trimEnd().split('\n').at(-1) ?? '']) {
    try {
      return JSON.parse(candidate)
    } catch {
      // Perhaps the last line alone is.
    }
  }
  return undefined
}

/** Edits (insert, drop, replace, swap two neighbours) from one word to the other. */
function distance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (beforeLast[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    beforeLast = last
    last = current
  }
  return last[to.length] ?? 0
}

/** The candidate meant by a mistyped `word`: at most 3 edits away and less than half the word; case, `-` and `_` do not count. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const folded = (name: string) => name.slice(0, 64).toLowerCase().replace(/[-_]/g, '')
  let best: { candidate: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = distance(folded(word), folded(candidate))
    const allowed = Math.min(3, Math.floor(Math.max(word.length, candidate.length) / 2))
    if (edits <= allowed && edits < (best?.edits ?? Number.POSITIVE_INFINITY)) best = { candidate, edits }
  }
  return best?.candidate
}
