import type { Target } from '../postgres/target.js'
import type { AlembicProject } from './alembic-graph.js'
import { toolEnvironment } from './tool-environment.js'

const PREVIEW_WITHIN_MS = 60_000
const SHOWN = 65_536
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

/** The SQL of each revision on the way up, or down, by Alembic's offline mode; what cannot be had that way is left out. */
export async function previewSql(
  project: AlembicProject,
  urlVariable: string,
  { way, range }: { way: 'upgrade' | 'downgrade'; range: string } = { way: 'upgrade', range: 'base:head' },
): Promise<Map<string, string>> {
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
  const request = { name: 'alembic offline', command, ...project.at, env, timeoutMs: PREVIEW_WITHIN_MS, onAnswer }
  const result = await project.host.run(project.tag, request, new AbortController().signal).catch(() => undefined)
  const unfinished = result?.exitCode === 0 ? undefined : [...sections.keys()].at(-1)
  const texts = [...sections].map(([version, lines]) => [version, lines.join('\n').trim()] as const)
  return new Map(texts.filter(([version, sql]) => version !== unfinished && sql.length <= SHOWN))
}
