/** A piece of a text in the file: as it stands, or a reference to what stands elsewhere. */
export type Piece =
  | { kind: 'literal'; text: string }
  | { kind: 'env'; name: string }
  | { kind: 'file'; path: string }
  | { kind: 'command'; command: [string, ...string[]] }

export const REFERENCE_FORMS = `\${env:NAME}, \${file:/path} or \${command:["program","argument"]}`

/** `${` before a letter; `$${` stands for `${` itself. */
const START = /\$?\$\{(?=[A-Za-z_])/g

/** Takes `text` apart; undefined where a reference is none of the three forms. */
export function parseTemplate(text: string): Piece[] | undefined {
  const pieces: Piece[] = []
  let done = 0
  for (const { 0: opening, index } of text.matchAll(START)) {
    if (index < done) continue
    pieces.push({ kind: 'literal', text: text.slice(done, index) })
    done = index + opening.length
    if (opening.startsWith('$$')) {
      pieces.push({ kind: 'literal', text: '${' })
      continue
    }
    const reference = parseReference(text.slice(done))
    if (reference === undefined) return undefined
    pieces.push(reference.piece)
    done += reference.length
  }
  return [...pieces, { kind: 'literal' as const, text: text.slice(done) }].filter(isNotEmpty)
}
const isNotEmpty = (piece: Piece): boolean => piece.kind !== 'literal' || piece.text !== ''

/** Reads what stands behind `${`, with its `}`. */
function parseReference(text: string): { piece: Piece; length: number } | undefined {
  const [env, name] = /^env:([A-Za-z_][A-Za-z0-9_]*)\}/.exec(text) ?? []
  if (env && name) return { piece: { kind: 'env', name }, length: env.length }
  const [file, path] = /^file:([^}\0]+)\}/.exec(text) ?? []
  if (file && path) return { piece: { kind: 'file', path: path.trim() }, length: file.length }
  return text.startsWith('command:') ? parseCommand(text) : undefined
}

/** Each end is tried, so that a longer one would make reading slow. */
const LONGEST_COMMAND = 4096

/** The array may hold `]}` inside an argument: the first end that makes it JSON counts. */
function parseCommand(rest: string): { piece: Piece; length: number } | undefined {
  const text = rest.slice(0, LONGEST_COMMAND)
  for (const { index } of text.matchAll(/\]\s*\}/g)) {
    const [program, ...others] = argumentsIn(text.slice('command:'.length, index + 1))
    if (program)
      return { piece: { kind: 'command', command: [program, ...others] }, length: text.indexOf('}', index) + 1 }
  }
  return undefined
}

function argumentsIn(json: string): string[] {
  try {
    const parsed: unknown = JSON.parse(json)
    return Array.isArray(parsed) && parsed.every((argument) => typeof argument === 'string') ? parsed : []
  } catch {
    return []
  }
}

/** Whether anything in `text` stands elsewhere. */
export const holdsReference = (text: string): boolean =>
  parseTemplate(text)?.some((piece) => piece.kind !== 'literal') ?? true

/** What is written out in `text`, references left out. */
export const literalPart = (text: string): string =>
  (parseTemplate(text) ?? []).map((piece) => (piece.kind === 'literal' ? piece.text : '')).join('')
