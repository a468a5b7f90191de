import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { failure } from '../../domain/failures.js'

/** What a program gets of our own environment. Everything else it is given by name. */
const ALLOWED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'] as const
const SECRET_NAME = /PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|URL|URI|DSN|COOKIE/i

/** The allow-listed variables and `added`; nothing else. */
export function childEnvironment(added: Record<string, string> = {}): Record<string, string> {
  const kept = ALLOWED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(kept), ...added }
}

/** The worker's own variables whose names are like this. */
export const variablesLike = (pattern: RegExp): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (pattern.test(name) && value ? [[name, value]] : [])),
  )

/** Variables of the worker's own. Throws `ReferenceMissing` for one that it does not have. */
export const ownVariables = (names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.map((name) => {
      const value = process.env[name]
      if (value !== undefined) return [name, value]
      throw failure('ReferenceMissing', `env in headgate.yaml names ${name}, which the worker does not have`)
    }),
  )

/** Values that must not be shown: those of variables that sound secret, and the passwords of URLs among them. */
export function secretsOf(env: Record<string, string> = {}): string[] {
  return Object.entries(env)
    .filter(([name, value]) => SECRET_NAME.test(name) && value !== '')
    .flatMap(([, value]) => [value, ...passwordsOf(value)])
}

function passwordsOf(value: string): string[] {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*?:([^@\s]+)@/i.exec(value)?.[1]
  if (password === undefined) return []
  try {
    return [password, decodeURIComponent(password)]
  } catch {
    return [password]
  }
}

/** The absolute path of a program, looked up as the child would; throws `ToolMissing` naming it. */
export async function findProgram(name: string, env: Record<string, string>, cwd: string): Promise<string> {
  const candidates = name.includes('/')
    ? [resolve(cwd, name)]
    : (env.PATH ?? '').split(delimiter).map((folder) => resolve(cwd, join(folder, name)))
  for (const candidate of candidates) if (await isProgram(candidate)) return candidate
  throw failure('ToolMissing', `${name} was not found`)
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
