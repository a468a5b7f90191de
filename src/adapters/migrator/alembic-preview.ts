import type { Target } from '../postgres/target.js'
import { basename } from 'node:path'
import { LONGEST_SQL, type Migration, type Unread } from '../../domain/migration.js'
import type { ProgramResult } from '../process/run.js'
import { type AlembicGraph, type AlembicProject, restingOn } from './alembic-graph.js'
import { readSql } from './read-sql.js'
import { toolEnvironment } from './tool-environment.js'
import { saidOf } from './tool-failure.js'

const PREVIEW_WITHIN_MS = 60_000
const RUNNING = { upgrade: /^-- Running upgrade (?:.* )?-> ([^\s,]+)/, downgrade: /^-- Running downgrade (\S+) -> / }
/** Alembic's own bookkeeping, and the transaction it would open. */
const OWN = /^(?:BEGIN|COMMIT);$|^(?:INSERT INTO|UPDATE|DELETE FROM) (?:\w+\.)?alembic_version\b/
/** Offline mode connects to nothing; a project that does so nevertheless finds nobody here. */
const NOWHERE: Target = {
  host: '127.0.0.1',
  port: 1,
  database: 'offline',
  user: 'offline',
  password: undefined,
  sslmode: 'disable',
  sslrootcert: undefined,
}

/** Of a name that is nowhere; an object of the offline mode lacks what that of a connection has, and tells nothing. */
const MISSING =
  /^(?:NameError: (?:\w+ )*name '[^']*' is not defined|(?:ImportError|ModuleNotFoundError): |AttributeError: (?:[a-z ]+ )?module '[^']*' has no attribute )/

/** By revision, its SQL, or why that cannot be had; neither where nobody knows why. */
export type Preview = ReadonlyMap<string, Pick<Migration, 'sql' | 'unread'>>

/**
 * What comes after a revision, `base` or one of the graph, by Alembic's offline mode. One that fails there, as it reads rows,
 * hides no other; two on different branches hide what comes up to their merge.
 */
export async function previewUp(
  project: AlembicProject,
  urlVariable: string,
  graph: AlembicGraph,
  from: string,
): Promise<Preview> {
  const found = new Map<string, Pick<Migration, 'sql' | 'unread'>>()
  const until = performance.now() + PREVIEW_WITHIN_MS
  let starts = graph.migrations.map(({ version }) => version)
  for (let start: string | undefined = from; start !== undefined; start = starts[0]) {
    const timeoutMs = Math.max(1, until - performance.now())
    const range = { way: 'upgrade', range: `${start}:head`, timeoutMs } as const
    const { sections, failed } = await offline(project, urlVariable, range)
    for (const [version, sql] of sections) found.set(version, readSql(sql))
    if (failed === undefined || found.has(failed.version)) break
    const { version, result } = failed
    found.set(version, { unread: unreadBecause(result, graph.paths.get(version) ?? '') })
    // Alembic starts at one revision: the first that is, or rests on, each of those that failed.
    const after = new Set(restingOn(graph, version).map((one) => one.version))
    starts = starts.filter((one) => after.has(one))
  }
  return found
}

/** The SQL of each revision on the way down, by Alembic's offline mode; what cannot be had that way is left out. */
export async function previewDown(
  project: AlembicProject,
  urlVariable: string,
  range: string,
): Promise<ReadonlyMap<string, string>> {
  const asked = { way: 'downgrade', range, timeoutMs: PREVIEW_WITHIN_MS } as const
  const { sections } = await offline(project, urlVariable, asked)
  return new Map([...sections].filter(([, sql]) => sql.length <= LONGEST_SQL))
}

interface Offline {
  sections: Map<string, string>
  /** The revision that was begun last, where Alembic came to no good end by itself. */
  failed: { version: string; result: ProgramResult } | undefined
}

async function offline(
  project: AlembicProject,
  urlVariable: string,
  { way, range, timeoutMs }: { way: 'upgrade' | 'downgrade'; range: string; timeoutMs: number },
): Promise<Offline> {
  const sections = new Map<string, string[]>()
  let section: string[] = []
  const onAnswer = (line: string): void => {
    const version = RUNNING[way].exec(line)?.[1]
    if (version === undefined) {
      if (!OWN.test(line)) section.push(line)
      return
    }
    section = []
    sections.set(version, section)
  }
  const env = toolEnvironment(NOWHERE, { applicationName: 'offline', options: {} }, urlVariable)
  const command = [...project.command, '-c', project.config, way, range, '--sql']
  const request = { name: 'alembic offline', command, ...project.at, env, timeoutMs, onAnswer }
  const result = await project.host.run(project.tag, request, new AbortController().signal).catch(() => undefined)
  const unfinished = result?.exitCode === 0 ? undefined : [...sections.keys()].at(-1)
  const texts = [...sections].map(([version, lines]) => [version, lines.join('\n').trim()] as const)
  return {
    sections: new Map(texts.filter(([version]) => version !== unfinished)),
    failed: result && unfinished !== undefined ? { version: unfinished, result } : undefined,
  }
}

/** Where the trace comes by the revision's file, what is missing to it is missing to it always. */
function unreadBecause(result: ProgramResult, path: string): Unread {
  const text = saidOf(result)
  const frames = [...result.stderr.matchAll(/^ +File "([^"]+)", line (\d+)/gm)]
  const line = Number(frames.findLast(([, file = '']) => basename(file) === basename(path))?.[2])
  return line > 0 ? { text, line, isCertain: MISSING.test(text) } : { text, line: 1, isCertain: false }
}
