import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Problem } from './problem.js'
import { whyUnreadable } from './source.js'
import { type Piece, parseTemplate } from './template.js'
import { isWrittenList, isWrittenMap, type Written } from './written.js'

/** Where references lead. */
export interface ReferenceSources {
  env: Readonly<Record<string, string | undefined>>
  /** Reads a file as UTF-8; by default from the disk. */
  readFile?: ((path: string) => Promise<string>) | undefined
  /** Runs a program without a shell and answers its standard output; rejects where it fails. Without it `${command:…}` is refused. */
  runCommand?: ((command: readonly string[], options: { cwd: string }) => Promise<string>) | undefined
  /** Where commands run and relative files start. */
  cwd: string
}

export interface Resolved {
  value: unknown
  problems: Problem[]
  /** Every value a reference led to. */
  secrets: string[]
}

type Answer = { text: string } | { problem: string }
type Reference = Exclude<Piece, { kind: 'literal' }>

/** Replaces every reference in `written`; the same reference is looked up once. What cannot be found is a problem, never an error. */
export async function resolveReferences(written: Written, sources: ReferenceSources): Promise<Resolved> {
  const problems: Problem[] = []
  const answers = new Map<string, Promise<Answer>>()
  const secrets = new Set<string>()

  const leadsTo = async (reference: Reference, at: Written): Promise<string> => {
    const id = JSON.stringify(reference)
    const answer = await (answers.get(id) ?? answers.set(id, lookUp(reference, sources)).get(id))
    if (answer && 'text' in answer) {
      secrets.add(answer.text)
      return answer.text
    }
    problems.push({ at: at.at, text: `${at.path} ${answer?.problem}` })
    return ''
  }
  const textOf = async (at: Written, text: string): Promise<string> => {
    let whole = ''
    for (const piece of parseTemplate(text) ?? [])
      whole += piece.kind === 'literal' ? piece.text : await leadsTo(piece, at)
    return whole
  }
  const resolved = async (at: Written): Promise<unknown> => {
    if (typeof at.value === 'string') return textOf(at, at.value)
    if (isWrittenList(at)) return inOrder(at.value, resolved)
    if (!isWrittenMap(at)) return at.value
    return Object.fromEntries(
      await inOrder([...at.value], async ([key, entry]) => [key, await resolved(entry)] as const),
    )
  }
  return { value: await resolved(written), problems, secrets: [...secrets] }
}

async function inOrder<T, U>(items: readonly T[], each: (item: T) => Promise<U>): Promise<U[]> {
  const done: U[] = []
  for (const item of items) done.push(await each(item))
  return done
}

async function lookUp(reference: Reference, sources: ReferenceSources): Promise<Answer> {
  if (reference.kind === 'env') return fromVariable(reference.name, sources)
  return reference.kind === 'file' ? fromFile(reference.path, sources) : fromCommand(reference.command, sources)
}

function fromVariable(name: string, { env }: ReferenceSources): Answer {
  const text = Object.hasOwn(env, name) ? env[name] : undefined
  if (text === undefined) return { problem: `needs the environment variable ${name}, which is not set` }
  return text === '' ? { problem: `needs the environment variable ${name}, which is empty` } : { text }
}

async function fromFile(path: string, { cwd, readFile: read = readText }: ReferenceSources): Promise<Answer> {
  try {
    const text = withoutLineEnd(await read(resolve(cwd, path)))
    return text === '' ? { problem: `needs the file ${path}, which is empty` } : { text }
  } catch (error) {
    return { problem: `needs the file ${path}: ${whyUnreadable(error)}` }
  }
}

/** Neither the command nor what it printed is told: both may hold secrets. */
async function fromCommand(command: readonly string[], { cwd, runCommand }: ReferenceSources): Promise<Answer> {
  if (runCommand === undefined) return { problem: 'needs a command, and commands are run by the worker only' }
  try {
    const text = withoutLineEnd(await runCommand(command, { cwd }))
    return text === '' ? { problem: 'needs a command, which printed nothing' } : { text }
  } catch {
    return { problem: 'needs a command, which failed' }
  }
}

const readText = (path: string): Promise<string> => readFile(path, 'utf8')
const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, '')
