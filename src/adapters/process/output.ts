import { StringDecoder } from 'node:string_decoder'
import { plain, redact, tail } from '../../domain/text.js'

const TAIL_BYTES = 8192
/** A line may be this long before it is cut: memory stays flat when a program prints no newline. */
const LINE_LIMIT = 1_048_576

/** Turns a program's bytes into lines that may be shown, and keeps the last of them. */
export class Output {
  readonly #decoder = new StringDecoder('utf8')
  readonly #secrets: readonly string[]
  readonly #longestSecret: number
  #pending = ''
  #kept = ''

  constructor(secrets: readonly string[]) {
    this.#secrets = linesOf(secrets)
    this.#longestSecret = Math.max(0, ...this.#secrets.map((secret) => secret.length))
  }

  /** The lines that `chunk` completes: as printed, and as they may be shown. Invalid UTF-8 becomes U+FFFD. */
  take(chunk: Uint8Array): { raw: string[]; shown: string[] } {
    const lines = (this.#pending + this.#decoder.write(chunk)).split('\n')
    this.#pending = lines.pop() ?? ''
    if (this.#pending.length > LINE_LIMIT) lines.push(this.#cut())
    return this.#show(lines)
  }

  /** What is left when the stream ends without a newline. */
  end(): { raw: string[]; shown: string[] } {
    const rest = this.#pending + this.#decoder.end()
    this.#pending = ''
    return this.#show(rest === '' ? [] : [rest])
  }

  /** The last 8 KiB that may be shown. */
  tail(): string {
    return tail(this.#kept, TAIL_BYTES)
  }

  /** Cuts a line that does not end; a secret that is only half there stays for the next cut. */
  #cut(): string {
    const line = redact(this.#pending, this.#secrets)
    const at = Math.max(1, line.length - this.#longestSecret)
    this.#pending = line.slice(at)
    return line.slice(0, at)
  }

  #show(raw: string[]): { raw: string[]; shown: string[] } {
    const shown = raw.map((line) => redact(plain(line), this.#secrets))
    if (shown.length > 0) this.#keep(`${shown.join('\n')}\n`)
    return { raw, shown }
  }

  #keep(text: string): void {
    this.#kept += text
    if (this.#kept.length > 8 * TAIL_BYTES) this.#kept = this.#kept.slice(-TAIL_BYTES)
  }
}

/** Output is looked at line by line, so a key of many lines is looked for line by line too. */
const linesOf = (secrets: readonly string[]): string[] =>
  secrets
    .flatMap((secret) => (secret.includes('\n') ? secret.split('\n').filter((line) => line.length >= 8) : [secret]))
    .filter(Boolean)
