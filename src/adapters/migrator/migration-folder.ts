import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { failure } from '../../domain/failures.js'
import { type Markers, unheardMarker } from '../../domain/markers.js'
import { isTransactional, type Migration, phaseOf } from '../../domain/migration.js'
import { leadingComment, splitStatements } from '../postgres/sql-statements.js'
import { isTransactionControl } from '../postgres/statement-kind.js'
import { readSql } from './read-sql.js'

/** A migration and where it stands. */
export interface MigrationFile extends Migration {
  path: string
  /** The file that undoes it; its own where that exports `down`. */
  downPath: string | undefined
}

const FILE = /^(?<version>.+?)(?:\.contract)?(?:\.(?<direction>up|down))?\.(?<extension>sql|ts|js|mjs|cjs)$/
const EXPORTS_DOWN =
  /\bexport\s+(?:async\s+)?(?:const|let|var|function)\s+down\b|\bexport\s*\{[^}]*\bdown\b|\bexports\.down\b/

/** Reads a folder and its subfolder `contract/`. Throws `PlanInvalid` naming the file and what to do. */
export async function readMigrations(folder: string): Promise<MigrationFile[]> {
  const paths = await migrationPaths(folder)
  const ups = paths.filter((path) => !isDown(path))
  if (ups.length === 0) throw failure('PlanInvalid', `there are no migrations in ${folder}`)
  const downs = byVersion(paths.filter(isDown))
  const files = await Promise.all(
    [...byVersion(ups)].map(([version, path]) => readMigration(version, path, downs.get(version))),
  )
  const known = new Set(files.map(({ version }) => version))
  for (const [version, path] of downs)
    if (!known.has(version)) throw failure('PlanInvalid', `${path} undoes nothing: there is no ${version}.up.sql`)
  return files.sort((a, b) => inOrder(a.version, b.version))
}

async function migrationPaths(folder: string): Promise<string[]> {
  const names = async (at: string): Promise<string[]> => (await readdir(at)).map((name) => join(at, name))
  try {
    const top = await names(folder)
    const contract = top.filter((path) => basename(path) === 'contract')
    const all = [...top, ...(await Promise.all(contract.map(names))).flat()]
    return all.filter((path) => FILE.test(basename(path)) && !/^\.|\.d\.ts$/.test(basename(path)))
  } catch (error) {
    throw failure('PlanInvalid', `the migrations folder ${folder} cannot be read`, error)
  }
}

const partsOf = (path: string): Record<string, string> => FILE.exec(basename(path))?.groups ?? {}
const isDown = (path: string): boolean => partsOf(path).direction === 'down'

function byVersion(paths: string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of paths.sort()) {
    const { version = '' } = partsOf(path)
    const other = found.get(version)
    if (other !== undefined)
      throw failure('PlanInvalid', `${other} and ${path} are both version ${version}: rename one`)
    found.set(version, path)
  }
  return found
}

/** By the leading number, so that 10 comes after 9, then by name. */
function inOrder(a: string, b: string): number {
  const [first, second] = [a, b].map((version) => BigInt(/^\d+/.exec(version)?.[0] ?? '-1'))
  if (first !== second) return (first ?? 0n) < (second ?? 0n) ? -1 : 1
  return a < b ? -1 : 1
}

async function readMigration(version: string, path: string, downPath: string | undefined): Promise<MigrationFile> {
  const bytes = await readFile(path)
  const text = textOf(bytes, path)
  const comment = leadingComment(text)
  const isSql = path.endsWith('.sql')
  const transactional = isTransactional(comment)
  if (isSql && transactional) refuseTransactionControl(text, path)
  return {
    version,
    name: version.replace(/^\d+[._-]*/, '').replace(/[_-]+/g, ' ') || version,
    phase: phaseOf(path, comment),
    transactional,
    checksum: createHash('sha256').update(bytes).digest('hex'),
    hasDown: downPath !== undefined || (!isSql && EXPORTS_DOWN.test(text)),
    path,
    downPath: downPath ?? (!isSql && EXPORTS_DOWN.test(text) ? path : undefined),
    ...(isSql ? readSql(text) : {}),
    ...unheardIn(path, text, { leading: comment.length }),
  }
}

/** As `Migration.unheard`. */
export function unheardIn(path: string, text: string, markers: Markers): Pick<Migration, 'unheard'> {
  const unheard = unheardMarker(text, markers)
  return unheard === undefined ? {} : { unheard: `${path}:${unheard}` }
}

/** The migration as its way down. Throws `PlanInvalid` where the file cannot be read. */
export async function wayDown({ path, downPath = path, ...migration }: MigrationFile): Promise<Migration> {
  const { sql: _, ...known } = migration
  const isSql = downPath.endsWith('.sql')
  const { text, ...written } = await writtenIn(downPath, isSql)
  if (isSql) requireInside(text, downPath)
  return { ...known, transactional: true, ...written }
}

/** A way down is one transaction. Throws `PlanInvalid`. */
export function requireInside(text: string, path: string): void {
  if (!isTransactional(leadingComment(text)))
    throw failure('PlanInvalid', `${path} cannot be undone in one transaction: undo it by a new migration`)
  const control = splitStatements(text).find(isTransactionControl)
  if (control)
    throw failure(
      'PlanInvalid',
      `${path}, line ${control.line}: "${control.words}" would break the transaction around it`,
    )
}

/** What a migration's way is written in; as `sql` where that is shown. */
export async function writtenIn(
  path: string,
  isSql = true,
): Promise<Pick<Migration, 'checksum' | 'sql' | 'unread'> & { text: string }> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw failure('PlanInvalid', `${path} cannot be read`, error)
  })
  const text = textOf(bytes, path)
  return {
    text,
    checksum: createHash('sha256').update(bytes).digest('hex'),
    ...(isSql ? readSql(text) : {}),
  }
}

/** Without a byte order mark: the server would read it as part of the first word. */
export function textOf(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw failure('PlanInvalid', `${path} is not UTF-8`, error)
  }
}

function refuseTransactionControl(text: string, path: string): void {
  const statement = splitStatements(text).find(isTransactionControl)
  if (!statement) return
  const what = `${path}, line ${statement.line}: "${statement.words.slice(0, 40)}" would break the transaction around the migration`
  throw failure('PlanInvalid', `${what}; remove it, or write "-- headgate:no-transaction" at the top`)
}
