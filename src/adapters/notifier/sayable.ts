import { plain, redact } from '../../domain/text.js'
import type { Notice } from './port.js'

/** The notice as it may leave the house: no known secret, no control characters. */
export function sayable(notice: Notice, secrets: readonly string[]): Notice {
  const safe = (text: string): string => plain(redact(text, secrets))
  return { ...notice, text: safe(notice.text), ...(notice.next === undefined ? {} : { next: safe(notice.next) }) }
}
