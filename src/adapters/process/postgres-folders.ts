import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isThere } from './install-once.js'
import { answerOf } from './installer.js'
import type { PostgresBinaries } from './postgres-cluster.js'

const PROGRAMS = ['initdb', 'postgres', 'pg_dump', 'pg_restore']
/** Older ones lack what the proofs and the fence ask the server for. */
const OLDEST_MAJOR = 14

/** Distributions' and Homebrew's folders; `*` is a version. */
const PATTERNS = [
  ['/usr/lib/postgresql', '*', 'bin'],
  ['/usr', 'pgsql-*', 'bin'],
  ['/opt/homebrew/opt', 'postgresql@*', 'bin'],
  ['/usr/local/opt', 'postgresql@*', 'bin'],
  ['/Applications/Postgres.app/Contents/Versions', '*', 'bin'],
] as const

/** The first of `folders` with all the programs, of a version that is new enough and runs here. */
export async function firstUsable(folders: readonly string[]): Promise<PostgresBinaries | undefined> {
  for (const directory of folders) {
    const there = await Promise.all(PROGRAMS.map((program) => isThere(join(directory, program))))
    if (there.includes(false)) continue
    const version = /\) (\d+(?:\.\d+)?)/.exec((await answerOf(join(directory, 'postgres'), '--version')) ?? '')?.[1]
    if (version !== undefined && Number.parseInt(version, 10) >= OLDEST_MAJOR) return { directory, version }
  }
  return undefined
}

/** Where `pg_config` points, then the usual folders, newest version first. They need not hold a server. */
export async function usualFolders(): Promise<string[]> {
  const configured = await answerOf('pg_config', '--bindir')
  const found = await Promise.all(PATTERNS.map(([parent, version, bin]) => matching(parent, version, bin)))
  return [...(configured ? [configured] : []), ...found.flat()]
}

async function matching(parent: string, pattern: string, bin: string): Promise<string[]> {
  const [prefix = ''] = pattern.split('*')
  const names = await readdir(parent).catch(() => [])
  return names
    .map((name) => ({ name, version: Number(name.slice(prefix.length)) }))
    .filter(({ name, version }) => name.startsWith(prefix) && version > 0)
    .sort((a, b) => b.version - a.version)
    .map(({ name }) => join(parent, name, bin))
}
