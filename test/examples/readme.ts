import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'

/** A block of a README: commands for a shell, or what somebody types and reads. */
const BLOCK = /```(sh|console)\n([\s\S]*?)```/g

/** What is another one each time, and how wide that makes a column. */
const masked = (text: string): string =>
  text
    .replaceAll('\\_', '_')
    .replace(/\b\d+(\.\d+)? [kMGT]?B\b/g, 'SIZE')
    .replace(/\b\d+ min \d\d s\b|\b\d+(\.\d+)? ?m?s\b/g, 'TIME')
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d UTC\b|\b\d\d:\d\d:\d\d\b/g, 'MOMENT')
    .replace(/(?<!\d)\d{8}[-_]\d{6}(-\d+)?(-s\de\d+)?(?!\w)/g, 'STAMP')
    .replace(/_\d{12}_[0-9a-f]{4}\b/g, '_STAMP')
    .replace(/\b[0-9a-f]{12}\b/g, 'DIGEST')
    .replace(/_[0-9a-f]{4}\b/g, '_HASH')
    .replace(/\bsnapshot \d+:\d+:[\d,]*/g, 'SNAPSHOT')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST')
    .replace(/PostgreSQL \d+\.\d+( \([^)]*\))?/g, 'PostgreSQL VERSION')
    .replace(/node \d+\.\d+\.\d+/g, 'node VERSION')
    .replace(/ +/g, ' ')

/** Told while it lasts: how often depends on the machine. */
const isProgress = (text: string): boolean =>
  / running {2}/.test(text) ||
  /^\d\d:\d\d:\d\d +\S+ for [\d.]+ /.test(text) ||
  /^(restore into|analyze|compare|copy|rehearse|applying|applied|Applied|Skipped|Running) /.test(text)
/** A wait that is over by the end of what is read may have been seen while it lasted, or not. */
const isPassed = (line: string, rest: readonly string[]): boolean => {
  const [, wait] = /^\d\d:\d\d:\d\d (. \S+) +waiting /.exec(line) ?? []
  return wait !== undefined && rest.some((later) => later.includes(` ${wait} `) && / done /.test(later))
}
const shown = (text: string): string =>
  text
    .split('\n')
    .filter((line, index, lines) => !isProgress(line) && !isPassed(line, lines.slice(index + 1)))
    .filter((line) => !line.startsWith('in Temporal: '))
    .join('\n')

/** Types the commands of a block one after the other; what is read then. Each exits with 0, or as is said behind it: `# exits 5`. */
async function typed(
  body: string,
  type: (words: string[]) => Promise<{ exit: number | null; text: string }>,
): Promise<string> {
  let said = ''
  for (const line of body.split('\n').filter((one) => one.startsWith('$ '))) {
    const [command = '', exits = '0'] = line.slice(2).split(/ +# exits /)
    const [, ...words] = command.split(' ')
    const { exit, text } = await type(words)
    expect(exit, text).toBe(Number(exits))
    said += `${line}\n${shown(text)}`
  }
  return said
}

interface Reader {
  /** Types one command of Headgate's. */
  type: (words: string[]) => Promise<{ exit: number | null; text: string }>
  /** Runs a script; without it those are passed over. */
  run?: (script: string) => Promise<void>
}

/** Does what the README at `place` says, block after block, and expects what it says to be what happens: `vitest -u` writes it anew. */
export async function readThrough(place: string, { type, run }: Reader): Promise<void> {
  const readme = await readFile(place, 'utf8')
  let text = readme
  for (const [whole, kind, body = ''] of readme.matchAll(BLOCK)) {
    if (kind === 'sh') {
      await run?.(body)
      continue
    }
    const said = await typed(body, type)
    text = text.replace(whole, () => `\`\`\`console\n${kept(body, said)}\`\`\``)
  }
  await expect(text).toMatchFileSnapshot(place)
}

/** What is written already, where nothing else is said now. */
export const kept = (written: string, said: string): string => (masked(said) === masked(written) ? written : said)
