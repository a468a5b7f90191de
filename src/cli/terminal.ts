import { createInterface } from 'node:readline/promises'
import { stripVTControlCharacters } from 'node:util'
import { EXIT } from '../domain/outcome.js'
import { plain } from '../domain/text.js'

/** Where a command speaks. With `-o json` standard output holds JSON alone and everything else goes to standard error. */
export interface Terminal {
  readonly json: boolean
  /** Standard output is a terminal. */
  readonly isTty: boolean
  /** Standard output can be redrawn. */
  readonly live: boolean
  /** Somebody can be asked. */
  readonly interactive: boolean
  readonly columns: number
  readonly rows: number
  /** A line of the answer for a person; nothing with `-o json`. */
  say: (text?: string) => void
  /** A line that is no part of the answer. */
  note: (text?: string) => void
  /** JSON on one line; nothing without `-o json`. */
  answer: (value: object) => void
  /** Text with control sequences of our own; nothing of others' may be in it. */
  draw: (text: string) => void
  ask: (question: string) => Promise<string>
}

/** Of a terminal that tells its size; one that tells 0 does not know. */
const NARROWEST = 40

export function openTerminal(json: boolean): Terminal {
  const { stdin, stdout, stderr } = process
  const out = json ? stderr : stdout
  const isDumb = process.env.TERM === 'dumb' || Boolean(process.env.CI)
  const live = !json && stdout.isTTY && !isDumb
  return {
    json,
    isTty: Boolean(stdout.isTTY),
    live,
    interactive: !json && stdin.isTTY && stdout.isTTY,
    get columns() {
      return Math.max(NARROWEST, stdout.columns || 120)
    },
    get rows() {
      return Math.max(10, stdout.rows || 40)
    },
    say: (text = '') => void (json || out.write(`${plain(text)}\n`)),
    note: (text = '') => void out.write(`${plain(text)}\n`),
    answer: (value) => {
      if (json)
        stdout.write(`${JSON.stringify(value, (_, at: unknown) => (typeof at === 'string' ? plain(at) : at))}\n`)
    },
    draw: (text) => void stdout.write(text),
    ask: (question) => ask(question),
  }
}

/** What was typed; empty at the end of input. Ctrl-C leaves: nothing has been started while something is asked. */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  lines.once('SIGINT', () => {
    process.stdout.write('\n')
    process.exit(EXIT.viewerLeft)
  })
  try {
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    return stripVTControlCharacters(await Promise.race([lines.question(plain(question)), ended])).trim()
  } finally {
    lines.close()
  }
}
