import { plain, redact } from './text.js'

const CHARACTERS = 200

/** The beginning of what somebody else said, on one line: redacted, safe to show, at most 200 characters. */
export function excerpt(text: string, secrets: readonly string[] = []): string {
  const shown = plain(redact(text, secrets)).replace(/\s+/g, ' ').trim()
  return [...shown.slice(0, 2 * CHARACTERS)].slice(0, CHARACTERS).join('')
}
