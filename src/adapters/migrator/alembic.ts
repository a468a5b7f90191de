import { dirname } from 'node:path'
import type { Client } from 'pg'
import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import type { Fence } from '../../domain/fence.js'
import type { Ledger, Migration } from '../../domain/migration.js'
import { withOwnSession } from '../postgres/account.js'
import { quoteIdentifier } from '../postgres/session.js'
import type { Target } from '../postgres/target.js'
import type { ToolHost } from '../process/tool-host.js'
import { type AlembicGraph, type AlembicProject, appliedOf, branchesOf, headsOf, restingOn } from './alembic-graph.js'
import { type Preview, previewDown } from './alembic-preview.js'
import { readProject } from './alembic-memory.js'
import { dropHalfBuilt } from './concurrent-index.js'
import type { HostedContext } from './context.js'
import { groupsDownOf, groupsOf } from './groups.js'
import { qualified, quotedTable, tableExists } from './ledger-table.js'
import { fileOf, inLedger } from './marking.js'
import { pendingVersions, requireAsPlanned, waysDownOf } from './pending.js'
import type { Migrator, ToolRun, UpRequest } from './port.js'
import { CONNECTED_WITHIN_MS, toolSession } from './tool-environment.js'
import { callEach, saidOf, toolRun } from './tool-failure.js'

type Alembic = Extract<MigratorConfiguration, { kind: 'alembic' }>
type Timeouts = Pick<UpRequest, 'lockTimeoutMs' | 'statementTimeoutMs'>

/** As Alembic makes it. */
const ledgerOf = (table: string): string =>
  `(version_num varchar(32) not null, constraint ${quoteIdentifier(`${table.split('.').at(-1)}_pkc`)} primary key (version_num))`

/** Alembic, called as a program; its scripts are read by its own interpreter, its ledger by our own SQL. */
export function alembicMigrator(configuration: Alembic, context: HostedContext): Migrator {
  const { table, urlVariable } = configuration
  const { host, withTarget, logDirectory } = context
  const quoted = quotedTable(table)
  let lastTag = ''

  const readingOf = (tag: string): ReturnType<typeof readProject> => {
    lastTag = tag
    return readProject(projectOf(configuration, host, tag), urlVariable)
  }
  const graphOf = async (tag: string): Promise<AlembicGraph> => (await readingOf(tag)).graph
  const act = async (
    words: string[],
    request: Timeouts & { tag: string },
    target: Target,
    fence: Fence,
  ): Promise<ToolRun> => {
    const { command, config, at } = projectOf(configuration, host, request.tag)
    const secrets = [...context.secrets, ...(target.password ? [target.password] : [])]
    const name = `alembic ${words.join(' ')}`
    const run = { name, command: [...command, '-c', config, ...words], ...at, secrets, logDirectory }
    const onLine = (line: string): void => {
      if (isStep(line)) fence.progress(line)
    }
    const session = toolSession(fence.applicationName, request)
    return withTarget(target, session, urlVariable, async (env) =>
      toolRun(name, await host.runFenced(request.tag, { ...run, env, onLine }, fence)),
    )
  }
  const read = (graph: AlembicGraph, target: Target, fence: Fence): Promise<Ledger> =>
    withOwnSession(target, fence, { readOnly: true }, (session) => readLedger(session, quoted, graph))

  const waysOf = (graph: AlembicGraph, target: string, ledger: Ledger): Promise<Migration[]> =>
    waysDownOf(restingOn(graph, target), ledger, target, ({ sql: _, ...migration }) => ({
      ...migration,
      transactional: !graph.downsOutside.has(migration.version),
    }))
  const withDownSql = async (ways: Migration[], tag: string, target: string): Promise<Migration[]> => {
    const [newest] = ways
    if (!newest) return []
    const range = `${newest.version}:${target || 'base'}`
    const sql = await previewDown(projectOf(configuration, host, tag), urlVariable, range)
    return ways.map((migration) => ({ ...migration, ...sqlOf(sql.get(migration.version)) }))
  }

  return {
    stopsAtTarget: true,
    // Unless env.py says transaction_per_migration.
    sharesTransaction: true,
    ledgerTable: qualified(table),
    migrations: async (tag, ledger) => {
      const { graph, preview } = await readingOf(tag)
      return previewed(graph, await preview(ledger && startOf(graph, ledger)))
    },
    ledger: async (session, tag = lastTag) => readLedger(session, quoted, await graphOf(tag)),
    up: async (request, target, fence) => {
      const { graph, preview } = await readingOf(request.tag)
      const ledger = await read(graph, target, fence)
      const question = {
        files: graph.migrations,
        ledger,
        target: request.target,
        planned: request.planned,
      }
      const pending = pendingVersions({ ...question, isLinear: false, stopsAtTarget: true })
      // It takes a program's start: only where an index may have been left half-built.
      const isOutside = graph.migrations.some((one) => pending.includes(one.version) && !one.transactional)
      const found = isOutside ? previewed(graph, await preview(startOf(graph, ledger))) : graph.migrations
      const groups = groupsOf(found, pending).flatMap((group) =>
        branchesOf(graph, group.versions).map((versions) => ({ ...group, versions })),
      )
      return callEach(groups, async (group) => {
        // Again for each: the group before it may have taken hours.
        requireAsPlanned(
          (await graphOf(request.tag)).migrations,
          request.planned.filter(({ version }) => group.versions.includes(version)),
        )
        if (!group.transactional)
          await withOwnSession(target, fence, {}, (session) => dropHalfBuilt(session, group.sql, fence))
        return act(
          ['upgrade', group.versions.at(-1) ?? ''],
          { ...request, ...(group.transactional ? {} : { lockTimeoutMs: 0 }) },
          target,
          fence,
        )
      })
    },
    waysDown: async ({ tag, target }, ledger) =>
      withDownSql(await waysOf(await graphOf(tag), target, ledger), tag, target),
    down: async (request, target, fence) => {
      const graph = await graphOf(request.tag)
      const ways = await waysOf(graph, request.target, await read(graph, target, fence))
      // As on the way up.
      const isOutside = ways.some(({ transactional }) => !transactional)
      const planned = isOutside ? await withDownSql(ways, request.tag, request.target) : ways
      return callEach(groupsDownOf(planned, request.target), async (group) => {
        if (!group.transactional)
          await withOwnSession(target, fence, {}, (session) => dropHalfBuilt(session, group.sql, fence))
        return act(
          ['downgrade', group.target || 'base'],
          { ...request, ...(group.transactional ? {} : { lockTimeoutMs: 0 }) },
          target,
          fence,
        )
      })
    },
    mark: async ({ tag, version, as }, target, fence) => {
      const graph = await graphOf(tag)
      if (as === 'applied') fileOf(graph.migrations, version)
      return inLedger(target, fence, async (session) => {
        if (as === 'applied') await session.query(`create table if not exists ${quoted} ${ledgerOf(table)}`)
        const { applied } = await readLedger(session, quoted, graph)
        const versions = applied.map((one) => one.version).filter((one) => one !== version)
        const heads = headsOf(graph, as === 'applied' ? [...versions, version] : versions)
        await session.query(`delete from ${quoted}`)
        await session.query(`insert into ${quoted} (version_num) select unnest($1::text[])`, [heads])
      })
    },
    connect: async ({ tag, session }, target, signal) => {
      const { command, config, at } = projectOf(configuration, host, tag)
      const current = [...command, '-c', config, 'current']
      const request = { name: 'alembic current', command: current, ...at, timeoutMs: CONNECTED_WITHIN_MS }
      return withTarget(target, session, urlVariable, async (env) =>
        saidOf(await host.run(tag, { ...request, env }, signal)),
      )
    },
    describe: async (tag) => [`alembic ${(await graphOf(tag)).version}`],
  }
}

function projectOf({ command, config, dir }: Alembic, host: ToolHost, tag: string): AlembicProject {
  // In an image its own working directory is where its tools expect to run.
  const folder = dir ?? (host.isHere ? dirname(config) : undefined)
  const filled = (path: string): string => path.replaceAll('{tag}', tag)
  return { host, tag, command, config: filled(config), at: folder === undefined ? {} : { cwd: filled(folder) } }
}

const previewed = ({ migrations }: AlembicGraph, preview: Preview): Migration[] =>
  migrations.map((migration) => ({ ...migration, ...preview.get(migration.version) }))

/** The last revision that is applied: none that it rests on is pending. */
const startOf = ({ paths }: AlembicGraph, { applied }: Ledger): string =>
  applied.findLast(({ version }) => paths.has(version))?.version ?? 'base'

const sqlOf = (sql: string | undefined): { sql?: string } => (sql === undefined ? {} : { sql })

const isStep = (line: string): boolean => /Running (upgrade|downgrade) /.test(line)

/** Every recorded revision and what it rests on is applied. */
async function readLedger(session: Client, quoted: string, graph: AlembicGraph): Promise<Ledger> {
  if (!(await tableExists(session, quoted))) return { exists: false, applied: [] }
  const { rows } = await session.query<{ version: string }>(`select version_num as version from ${quoted}`)
  const names = new Map(graph.migrations.map(({ version, name }) => [version, name]))
  const versions = appliedOf(
    graph,
    rows.map(({ version }) => version),
  )
  return { exists: true, applied: versions.map((version) => ({ version, ...named(names.get(version)) })) }
}

const named = (name: string | undefined): { name?: string } => (name === undefined ? {} : { name })
