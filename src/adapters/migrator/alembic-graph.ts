import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { failure } from '../../domain/failures.js'
import { isTransactional, type Migration, phaseOf } from '../../domain/migration.js'
import { unheardIn } from './migration-folder.js'
import type { ToolHost } from '../process/tool-host.js'
import { ALEMBIC_SCRIPT } from './alembic-script.js'

const Revision = z.object({
  revision: z.string(),
  down: z.array(z.string()),
  dependsOn: z.array(z.string()),
  name: z.string(),
  path: z.string(),
  comment: z.string(),
  checksum: z.string(),
  hasDown: z.boolean(),
  leavesTransaction: z.boolean(),
  downLeavesTransaction: z.boolean(),
})
type Revision = z.infer<typeof Revision>
const Line = z.union([
  z.object({ missing: z.string() }),
  z.object({ error: z.string() }),
  z.object({ version: z.string(), heads: z.array(z.string()) }),
  Revision,
])

/** An Alembic project's revisions, oldest first. */
export interface AlembicGraph {
  version: string
  migrations: Migration[]
  /** Revisions whose way down leaves its transaction. */
  downsOutside: ReadonlySet<string>
  /** What a revision rests on, directly. */
  parents: ReadonlyMap<string, readonly string[]>
  /** The revisions' files. */
  paths: ReadonlyMap<string, string>
}

export interface AlembicProject {
  host: ToolHost
  tag: string
  command: readonly string[]
  config: string
  /** Where it runs, where that is not the host's own choice. */
  at: { cwd?: string }
}

const READ_WITHIN_MS = 60_000

/** Reads the scripts with Alembic's own interpreter. Throws `PlanInvalid` (no revision, several heads, broken scripts) or `ToolMissing`. */
export async function readGraph({ host, tag, command, config, at }: AlembicProject): Promise<AlembicGraph> {
  const printed: string[] = []
  const request = {
    ...{ command: [...interpreterOf(command), '-', config], ...at },
    input: ALEMBIC_SCRIPT,
    timeoutMs: READ_WITHIN_MS,
  }
  const onAnswer = (line: string): number => printed.push(line)
  const { exitCode, stderr } = await host.run(
    tag,
    { name: 'alembic scripts', ...request, onAnswer },
    new AbortController().signal,
  )
  if (exitCode !== 0)
    throw failure('PlanInvalid', `the alembic scripts of ${config} cannot be read`, undefined, { evidence: stderr })
  const lines = printed.flatMap(parsed)
  const { version, heads } = headOf(lines, config, command)
  const revisions = lines.filter((line): line is Revision => 'revision' in line)
  if (revisions.length === 0) throw failure('PlanInvalid', `there are no revisions in ${config}`)
  if (heads.length > 1) throw severalHeads(command, config, heads)
  return {
    version,
    migrations: revisions.map(migrationOf),
    downsOutside: new Set(revisions.filter((one) => one.downLeavesTransaction).map(({ revision }) => revision)),
    parents: new Map(revisions.map(({ revision, down, dependsOn }) => [revision, [...down, ...dependsOn]])),
    paths: new Map(revisions.map(({ revision, path }) => [revision, path])),
  }
}

/** A revision's module may print something of its own. */
function parsed(text: string): z.infer<typeof Line>[] {
  try {
    const { data } = Line.safeParse(JSON.parse(text))
    return data ? [data] : []
  } catch {
    return []
  }
}

function headOf(
  lines: z.infer<typeof Line>[],
  config: string,
  command: readonly string[],
): { version: string; heads: string[] } {
  for (const line of lines) {
    if ('missing' in line)
      throw failure('ToolMissing', `alembic cannot be imported beside ${command.join(' ')}: ${line.missing}`)
    if ('error' in line) throw failure('PlanInvalid', `${config}: ${line.error}`)
    if ('heads' in line) return line
  }
  throw failure('PlanInvalid', `the alembic scripts of ${config} cannot be read`)
}

const severalHeads = (command: readonly string[], config: string, heads: string[]): Error =>
  failure(
    'PlanInvalid',
    `${config} has ${heads.length} heads: ${heads.join(', ')}; join them with: ${command.join(' ')} merge heads`,
  )

/** `alembic` becomes the python beside it; `python -m alembic` and `uv run alembic` become the same without alembic. */
export function interpreterOf(command: readonly string[]): string[] {
  const last = command.at(-1) ?? ''
  if (last === 'alembic' && command.at(-2) === '-m') return command.slice(0, -2)
  if (command.length > 1 && basename(last) === 'alembic') return [...command.slice(0, -1), 'python']
  return last.includes('/') ? [join(dirname(last), 'python')] : ['python3']
}

const migrationOf = (revision: Revision): Migration => ({
  version: revision.revision,
  name: revision.name || basename(revision.path, '.py'),
  phase: phaseOf(revision.path, revision.comment),
  transactional: isTransactional(revision.comment) && !revision.leavesTransaction,
  checksum: revision.checksum,
  hasDown: revision.hasDown,
  restsOn: [...revision.down, ...revision.dependsOn],
  ...unheardIn(revision.path, revision.comment, {
    leading: revision.comment.length,
    instead: { waive: 'it is not read there: write it under lint.waive in headgate.yaml' },
  }),
})

/** The recorded revisions and everything they rest on, oldest first. */
export function appliedOf({ migrations, parents }: AlembicGraph, recorded: readonly string[]): string[] {
  const applied = new Set<string>()
  const waiting = [...recorded]
  for (let version = waiting.pop(); version !== undefined; version = waiting.pop()) {
    if (applied.has(version)) continue
    applied.add(version)
    waiting.push(...(parents.get(version) ?? []))
  }
  const known = migrations.map(({ version }) => version).filter((version) => applied.has(version))
  return [...known, ...[...applied].filter((version) => !known.includes(version))]
}

/** The revision itself and everything that rests on it, oldest first; the whole graph of the empty string. */
export function restingOn({ migrations, parents }: AlembicGraph, version: string): Migration[] {
  if (version === '') return migrations
  const found = new Set([version])
  for (const migration of migrations)
    if (parents.get(migration.version)?.some((one) => found.has(one))) found.add(migration.version)
  return migrations.filter((migration) => found.has(migration.version))
}

/** Parts of these versions, each with all that its last one rests on of them: Alembic goes towards one revision at a time. */
export function branchesOf({ parents }: AlembicGraph, versions: readonly string[]): string[][] {
  const left = new Set(versions)
  return headsOf({ parents }, versions).map((head) => {
    const part = new Set([head])
    for (const version of part) for (const one of parents.get(version) ?? []) if (left.has(one)) part.add(one)
    for (const version of part) left.delete(version)
    return versions.filter((version) => part.has(version))
  })
}

/** What the ledger records of applied revisions: those that nothing else applied rests on. */
export function headsOf({ parents }: Pick<AlembicGraph, 'parents'>, applied: readonly string[]): string[] {
  const restedOn = new Set(applied.flatMap((version) => parents.get(version) ?? []))
  return applied.filter((version) => !restedOn.has(version))
}
