import type { EnvironmentConfiguration } from '../../domain/configuration.js'
import type { Problem } from './problem.js'
import { literalPart } from './template.js'
import { textsIn, type Written } from './written.js'

/** Shorter values (a port, `true`, a user's initials) would blank out half of every log. */
const LEAST_CHARACTERS = 6
const LEAST_PASSWORD = 3

const AUTHORITY_PASSWORD = /[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:@/?#]*:([^\s@/?#]+)@/i
/** A password with `/`, `?` or `#` in it is no URL; it is a password nevertheless. A port before a path is none. */
const DATABASE_PASSWORD = /postgres(?:ql)?:\/\/[^\s:@/?#]*:(?!\d{1,5}[/?#])([^\s]+)@/i
const PARAMETER_PASSWORD = /[?&](?:ssl)?password=([^&\s]+)/i
const CONNINFO_PASSWORD = /(?:^|\s)(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)+'|[^\s']+)/i
const VARIABLE_PASSWORD = /PGPASSWORD=(\S+)/
const HEADER_WITH_SECRET = /\.headers\.(?:proxy-)?authorization$/i
const KEY_WITH_SECRET = /\.(?:token|password)$/
/** Whoever has its path can post. */
const SLACK_WEBHOOK = /hooks\.slack\.com\/\S+/i
const DATABASE_URL_PATH = /(?:^|\.)(?:url|urls\.\w+|rehearsal\.from)$/

/** Passwords written out in the file: each is refused, with the reference to write instead. */
export function literalPasswords(root: Written): Problem[] {
  return [...textsIn(root)].flatMap(({ path, at, value }) => {
    const literal = literalPart(value)
    const isConninfo = DATABASE_URL_PATH.test(path) && CONNINFO_PASSWORD.test(literal)
    const isHeader = HEADER_WITH_SECRET.test(path) && !/^(?:(?:basic|bearer|token)\s*)?$/i.test(literal)
    const isKey = KEY_WITH_SECRET.test(path) && literal !== ''
    const isWebhook = SLACK_WEBHOOK.test(literal)
    const isSecret = isHeader || isKey || isWebhook
    const inUrl = [AUTHORITY_PASSWORD, DATABASE_PASSWORD, PARAMETER_PASSWORD, VARIABLE_PASSWORD]
    if (!isConninfo && !isSecret && !inUrl.some((pattern) => pattern.test(literal))) return []
    const what = isSecret ? 'a secret' : 'a password'
    return [{ at, text: `${path} holds ${what}; write a reference: \${env:${variableFor(path)}}` }]
  })
}

/** `environments.production.url` → `PRODUCTION_DATABASE_URL`. */
export function variableFor(path: string): string {
  const [, environment] = /^environments\.([^.]+)\.url$/.exec(path) ?? []
  const words = environment === undefined ? path.replace(/^environments\./, '') : `${environment}_database_url`
  const snake = words.replace(/\[\d+\]/g, '').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
  return snake.replace(/[^A-Za-z0-9]+/g, '_').toUpperCase()
}

/** Beside the configuration, not in it: it must not be stored or printed with it. */
const resolvedValues = new WeakMap<EnvironmentConfiguration, readonly string[]>()

/** Keeps what its references led to, for `knownSecrets`. */
export function rememberSecrets(configuration: EnvironmentConfiguration, values: readonly string[]): void {
  resolvedValues.set(configuration, values)
}

/** What must never be shown: resolved references of 6 characters and more, line by line too, and every URL's password, as written, raw and percent-encoded. */
export function knownSecrets(configuration: EnvironmentConfiguration): string[] {
  const values = resolvedValues.get(configuration) ?? []
  const lines = values.flatMap((value) => [value, ...value.split(/\r?\n/)])
  const passwords = [...values, ...stringsIn(configuration)]
    .flatMap(passwordsOf)
    .filter((at) => at.length >= LEAST_PASSWORD)
  const asJson = [...lines, ...passwords].map((value) => JSON.stringify(value).slice(1, -1))
  const long = [...lines, ...asJson].filter((value) => value.length >= LEAST_CHARACTERS)
  return [...new Set([...long, ...passwords])]
}

function passwordsOf(text: string): string[] {
  const patterns = [AUTHORITY_PASSWORD, DATABASE_PASSWORD, PARAMETER_PASSWORD, CONNINFO_PASSWORD, VARIABLE_PASSWORD]
  const written = patterns.flatMap((pattern) => pattern.exec(text)?.[1] ?? [])
  return written.flatMap((password) => {
    const raw = password.startsWith("'") ? password.slice(1, -1).replace(/\\(.)/g, '$1') : decoded(password)
    return [password, raw, encodeURIComponent(raw)]
  })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value
  else if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(value)) yield* stringsIn(inner)
}
