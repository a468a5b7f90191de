import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { failure } from '../../domain/failures.js'
import type { Fence, OwnSession } from '../../domain/fence.js'
import type { Ledger } from '../../domain/migration.js'
import { withOwnSession } from '../postgres/account.js'
import { sessionsNamed } from '../postgres/activity.js'
import type { Target } from '../postgres/target.js'
import type { ToolHost } from '../process/tool-host.js'
import { dropHalfBuilt } from './concurrent-index.js'
import type { HostedContext } from './context.js'
import { groupsDownOf, groupsOf } from './groups.js'
import { dropIfEmpty, qualified, quotedTable, tableExists } from './ledger-table.js'
import { fileOf, inLedger } from './marking.js'
import { pendingVersions, requireAsPlanned, waysDownOf } from './pending.js'
import type { Migrator, ToolRun, UpRequest } from './port.js'
import { readSqlxFolder, type SqlxMigration, sqlxWayDown } from './sqlx-folder.js'
import { CONNECTED_WITHIN_MS, toolSession } from './tool-environment.js'
import { callEach, saidOf, toolRun } from './tool-failure.js'

type Sqlx = Extract<MigratorConfiguration, { kind: 'sqlx' }>
type Timeouts = Pick<UpRequest, 'lockTimeoutMs' | 'statementTimeoutMs'>

const URL_VARIABLE = 'DATABASE_URL'
const LOOK_MS = 2
/** Who reads the ledger meanwhile waits behind us. */
const HELD_WITHIN_MS = 100
const DESCRIBED_WITHIN_MS = 30_000
/** As sqlx 0.8 makes it. */
const LEDGER = `(
  version bigint primary key,
  description text not null,
  installed_on timestamptz not null default now(),
  success boolean not null,
  checksum bytea not null,
  execution_time bigint not null
)`

/**
 * sqlx, called as its command line program. Its files and its ledger are read by us, as it reads them.
 * Files, checksums, ledger: github.com/launchbadge/sqlx, sqlx-core/src/migrate, sqlx-postgres/src/migrate.rs (0.8).
 */
export function sqlxMigrator({ dir, command, table }: Sqlx, context: HostedContext): Migrator {
  const { host, withTarget, logDirectory } = context
  const quoted = quotedTable(table)
  const files = async (tag: string): Promise<SqlxMigration[]> => readSqlxFolder(await host.folder(tag, dir))
  const act = async (
    words: string[],
    request: Timeouts & { tag: string; target: string },
    target: Target,
    fence: Fence,
  ): Promise<ToolRun> => {
    const source = dir.replaceAll('{tag}', request.tag)
    const secrets = [...context.secrets, ...(target.password ? [target.password] : [])]
    const name = `sqlx migrate ${words.join(' ')}`
    const arguments_ = [...words, '--target-version', request.target, '--source', source]
    const at = host.isHere ? { cwd: source } : {}
    const run = { name, command: [...command, 'migrate', ...arguments_], ...at, secrets, logDirectory }
    const onLine = (line: string): void => fence.progress(line)
    return withTarget(target, toolSession(fence.applicationName, request), URL_VARIABLE, async (env) =>
      toolRun(name, await host.runFenced(request.tag, { ...run, env, onLine }, fence)),
    )
  }
  const read = (target: Target, fence: Fence): Promise<Ledger> =>
    withOwnSession(target, fence, { readOnly: true }, (session) => readLedger(session, quoted))

  return {
    stopsAtTarget: true,
    ledgerTable: qualified(table),
    migrations: async (tag) => (await files(tag)).map(({ downPath: _, ...migration }) => migration),
    ledger: (session) => readLedger(session, quoted),
    up: (request, target, fence) =>
      stillMarked(quoted, request, target, fence, async () => {
        const found = await files(request.tag)
        const ledger = await read(target, fence)
        const question = { files: found, ledger, target: request.target, planned: request.planned }
        const groups = groupsOf(found, pendingVersions({ ...question, isLinear: true, stopsAtTarget: true }))
        return callEach(groups, async (group) => {
          // Again for each: the group before it may have taken hours.
          const planned = request.planned.filter(({ version }) => group.versions.includes(version))
          requireAsPlanned(await files(request.tag), planned)
          if (!group.transactional)
            await withOwnSession(target, fence, {}, (session) => dropHalfBuilt(session, group.sql, fence))
          const limits = group.transactional ? {} : { lockTimeoutMs: 0 }
          const upTo = group.versions.at(-1) ?? ''
          // What makes a container takes its time, and has it before others are held up.
          if (!host.isHere) await host.image(request.tag, 'present')
          // sqlx begins nothing as long as anything is marked.
          if (request.halfDone !== undefined) await unmark(quoted, request.halfDone, target, fence)
          const run = (): Promise<ToolRun> => act(['run'], { ...request, ...limits, target: upTo }, target, fence)
          return (ledger.exists ? heldBack(quoted, target, fence, run) : run()).catch(async (error) => {
            // What it failed of is what counts.
            if (!ledger.exists) await dropOwnLedger(quoted, target, fence).catch(() => {})
            throw error
          })
        })
      }),
    waysDown: async ({ tag, target }, ledger) => waysDownOf(await files(tag), ledger, target, sqlxWayDown),
    down: async (request, target, fence) => {
      const ledger = await read(target, fence)
      const ways = await waysDownOf(await files(request.tag), ledger, request.target, sqlxWayDown)
      return callEach(groupsDownOf(ways, request.target), async (group) => {
        if (!group.transactional)
          await withOwnSession(target, fence, {}, (session) => dropHalfBuilt(session, group.sql, fence))
        if (!host.isHere) await host.image(request.tag, 'present')
        const limits = group.transactional ? {} : { lockTimeoutMs: 0 }
        const downTo = { ...request, ...limits, target: group.target || '0' }
        return heldBack(quoted, target, fence, () => act(['revert'], downTo, target, fence))
      })
    },
    mark: ({ tag, version, as }, target, fence) =>
      inLedger(target, fence, async (session) => {
        if (as === 'applied') await session.query(`create table if not exists ${quoted} ${LEDGER}`)
        await session.query(`delete from ${quoted} where version = $1`, [version])
        if (as === 'pending') return
        const { name, checksum } = fileOf(await files(tag), version)
        await session.query(
          `insert into ${quoted} (version, description, success, checksum, execution_time) values ($1, $2, true, decode($3, 'hex'), 0)`,
          [version, name, checksum],
        )
      }),
    // It keeps no count of statements: every migration begins at its first, and `up` sees to the mark.
    beginAnew: async () => {},
    connect: async ({ tag, session }, target, signal) => {
      const info = [...command, 'migrate', 'info', '--source', dir.replaceAll('{tag}', tag)]
      const request = { name: 'sqlx migrate info', command: info, timeoutMs: CONNECTED_WITHIN_MS }
      return withTarget(target, session, URL_VARIABLE, async (env) =>
        saidOf(await host.run(tag, { ...request, env }, signal)),
      )
    },
    describe: async (tag) => [await versionOf(host, tag, command)],
  }
}

/** Throws `ToolMissing` where there is no sqlx, or one that goes to head whatever it is told. */
async function versionOf(host: ToolHost, tag: string, command: readonly string[]): Promise<string> {
  const ask = async (...words: string[]): Promise<string> => {
    const request = { name: 'sqlx', command: [...command, ...words], timeoutMs: DESCRIBED_WITHIN_MS }
    return (await host.run(tag, request, new AbortController().signal)).stdout.trim()
  }
  const version = await ask('--version')
  const help = await ask('migrate', 'run', '--help')
  if (help.includes('--target-version')) return version
  throw failure(
    'ToolMissing',
    `${version || command.join(' ')} knows no --target-version: install sqlx-cli 0.8 or newer`,
  )
}

/** Creates nothing. In the order of their versions. */
async function readLedger(session: Client, quoted: string): Promise<Ledger> {
  if (!(await tableExists(session, quoted))) return { exists: false, applied: [] }
  const { rows } = await session.query<{ version: string; name: string; checksum: string; success: boolean }>(
    `select version::text, description as name, encode(checksum, 'hex') as checksum, success from ${quoted} order by ${quoted}.version`,
  )
  const dirty = rows.find(({ success }) => !success)?.version
  const applied = rows.filter(({ success }) => success)
  return {
    exists: true,
    applied: applied.map(({ version, name, checksum }) => ({ version, name, checksum })),
    ...(dirty === undefined ? {} : { dirty }),
  }
}

/** sqlx makes its table before it begins: a release that failed first of all leaves nothing. */
const dropOwnLedger = (quoted: string, target: Target, fence: Fence): Promise<void> =>
  withOwnSession(target, fence, {}, async (session) => {
    if (!(await tableExists(session, quoted))) return
    await fence.check()
    await dropIfEmpty(session, quoted)
  })

/** Whatever `work` fails of, what was half done is marked as that after it. What it failed of is what counts. */
async function stillMarked(
  quoted: string,
  { halfDone, planned }: UpRequest,
  target: Target,
  fence: Fence,
  work: () => Promise<ToolRun>,
): Promise<ToolRun> {
  try {
    return await work()
  } catch (error) {
    const file = planned.find(({ version }) => version === halfDone)
    if (file) await markHalfDone(quoted, file, target, fence).catch(() => {})
    throw error
  }
}

const unmark = (quoted: string, version: string, target: Target, fence: Fence): Promise<void> =>
  inLedger(target, fence, async (session) => {
    await session.query(`delete from ${quoted} where version = $1 and not success`, [version])
  })

/** Does nothing where the ledger has the version. */
const markHalfDone = (
  quoted: string,
  { version, checksum }: UpRequest['planned'][number],
  target: Target,
  fence: Fence,
): Promise<void> =>
  inLedger(target, fence, async (session) => {
    await session.query(
      `insert into ${quoted} (version, description, success, checksum, execution_time)
       values ($1, $2, false, decode($3, 'hex'), -1) on conflict do nothing`,
      [version, 'half done', checksum],
    )
  })

/**
 * sqlx is done within milliseconds, before anybody who looks now and then has seen its session: it waits at its ledger until
 * that is accounted for. Where it cannot be held back it runs all the same, and the gate may count as open then.
 */
async function heldBack(quoted: string, target: Target, fence: Fence, run: () => Promise<ToolRun>): Promise<ToolRun> {
  const { running } = await withOwnSession(target, fence, {}, async (session, own) => {
    await session
      .query(`begin; set local lock_timeout = '${HELD_WITHIN_MS}ms'; lock table ${quoted} in access exclusive mode`)
      .catch(() => {})
    let isOver = false
    const running = run().finally(() => {
      isOver = true
    })
    running.catch(() => {})
    // From here on the tool runs: whatever goes wrong with looking, its end is waited for.
    await accountForTool(session, target, fence, own, () => isOver).catch(() => {})
    await session.query('rollback').catch(() => {})
    return { running }
  })
  return running
}

async function accountForTool(
  session: Client,
  target: Target,
  fence: Fence,
  own: OwnSession,
  isOver: () => boolean,
): Promise<void> {
  for (let found: OwnSession[] = []; found.length === 0 && !isOver(); await pause(LOOK_MS)) {
    // Else a transaction sees the same sessions again.
    await session.query('select pg_stat_clear_snapshot()')
    const named = await sessionsNamed(session, target.database, [fence.applicationName])
    found = named.filter(({ pid }) => pid !== own.pid)
    for (const one of found) await fence.recordSession(one)
  }
}
