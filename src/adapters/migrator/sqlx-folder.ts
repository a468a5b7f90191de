import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '../../domain/failures.js'
import { type Migration, phaseOf } from '../../domain/migration.js'
import { textOf, unheardIn, writtenIn } from './migration-folder.js'
import { readSql } from './read-sql.js'
import { leadingComment, splitStatements, type Statement } from '../postgres/sql-statements.js'
import { isTransactionControl, mustRunAlone } from '../postgres/statement-kind.js'

/** As sqlx names them: `<version>_<description>.sql`, or `.up.sql` and `.down.sql`; it passes over every other file. */
const FILE = /^(?<version>[^_]*)_(?<description>.*?)(?<suffix>\.up\.sql|\.down\.sql|\.sql)$/
/** Only as the first bytes of the file, and only so written. */
const NO_TRANSACTION = '-- no-transaction'
const OWN_MARKER = `sqlx has its own: begin the file with ${NO_TRANSACTION}`
const LARGEST = 2n ** 63n - 1n

/** A migration and the file that undoes it. */
export interface SqlxMigration extends Migration {
  downPath: string | undefined
}

interface Found {
  path: string
  version: bigint
  description: string
  isDown: boolean
}

/**
 * The migrations of a folder of sqlx's, in its order; what it would apply is read as it reads it. Checksums are its own:
 * SHA-384 of the text. Throws `PlanInvalid` naming the file and what to do.
 */
export async function readSqlxFolder(folder: string): Promise<SqlxMigration[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw failure('PlanInvalid', `the migrations folder ${folder} cannot be read`, error)
  })
  const found = names.sort().flatMap((name) => foundOf(folder, name))
  const ups = byVersion(found.filter(({ isDown }) => !isDown))
  const downs = byVersion(found.filter(({ isDown }) => isDown))
  if (ups.size === 0) throw failure('PlanInvalid', `there are no migrations in ${folder}`)
  for (const [version, { path }] of downs)
    if (!ups.has(version)) throw failure('PlanInvalid', `${path} undoes nothing: there is no migration ${version}`)
  const migrations = await Promise.all(
    [...ups.values()].map((file) => migrationOf(file, downs.get(file.version)?.path)),
  )
  return migrations.sort((a, b) => (BigInt(a.version) < BigInt(b.version) ? -1 : 1))
}

function foundOf(folder: string, name: string): Found[] {
  const { version, description, suffix } = FILE.exec(name)?.groups ?? {}
  if (version === undefined || description === undefined) return []
  const path = join(folder, name)
  const number = /^\+?\d+$/.test(version) ? BigInt(version.replace('+', '')) : undefined
  if (number === undefined || number > LARGEST)
    throw failure(
      'PlanInvalid',
      `${path}: "${version.slice(0, 40)}" is no version, which sqlx stops at: rename the file`,
    )
  return [{ path, version: number, description: description.replaceAll('_', ' '), isDown: suffix === '.down.sql' }]
}

/** `0001` and `1` are one version: sqlx would fail at the second one's row. */
function byVersion(files: readonly Found[]): Map<bigint, Found> {
  const found = new Map<bigint, Found>()
  for (const file of files) {
    const other = found.get(file.version)
    if (other)
      throw failure('PlanInvalid', `${other.path} and ${file.path} are both version ${file.version}: rename one`)
    found.set(file.version, file)
  }
  return found
}

async function migrationOf(
  { path, version, description }: Found,
  downPath: string | undefined,
): Promise<SqlxMigration> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw failure('PlanInvalid', `${path} cannot be read`, error)
  })
  const text = textOf(bytes, path)
  const statements = splitStatements(text)
  const comment = leadingComment(text)
  const transactional = !text.startsWith(NO_TRANSACTION) && !statements.some(isTransactionControl)
  if (!transactional) refuseNotAlone(path, statements)
  return {
    version: String(version),
    name: description || String(version),
    phase: phaseOf(path, comment),
    // With a `commit` of its own it is one no more, whatever sqlx opens around it.
    transactional,
    checksum: createHash('sha384').update(bytes).digest('hex'),
    hasDown: downPath !== undefined,
    downPath,
    ...readSql(text),
    ...unheardIn(path, text, { leading: comment.length, instead: { 'no-transaction': OWN_MARKER } }),
  }
}

/** The migration as its way down. Throws `PlanInvalid` where the file cannot be read. */
export async function sqlxWayDown({ downPath = '', sql: _, ...migration }: SqlxMigration): Promise<Migration> {
  const { text, ...written } = await writtenIn(downPath)
  const transactional = !text.startsWith(NO_TRANSACTION) && !splitStatements(text).some(isTransactionControl)
  return { ...migration, transactional, ...written }
}

/** sqlx sends a file as one query, and of several statements in one the server makes a transaction of its own. */
function refuseNotAlone(path: string, statements: readonly Statement[]): void {
  const [one] = statements.filter(mustRunAlone)
  if (!one || statements.length === 1) return
  const what = `${path}, line ${one.line}: "${one.words.slice(0, 40)}" has to be alone in its file`
  throw failure('PlanInvalid', `${what}: sqlx sends the file whole, and the server refuses that there`)
}
