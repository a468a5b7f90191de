import type { Client } from 'pg'
import { z } from 'zod'
import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Ledger, Migration } from '../../domain/migration.js'
import { STATUS_SESSION } from '../../domain/names.js'
import { withOwnSession } from '../postgres/account.js'
import { withSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import type { ProgramResult } from '../process/run.js'
import type { ToolHost } from '../process/tool-host.js'
import { dropHalfBuilt } from './concurrent-index.js'
import type { HostedContext } from './context.js'
import { asOneGroup, type Group, groupsDownOf, groupsOf } from './groups.js'
import { pendingVersions, requireAsPlanned, waysDownOf } from './pending.js'
import type { Migrator, ToolRun, UpRequest } from './port.js'
import { readSql } from './read-sql.js'
import { parseSqlxInfo } from './sqlx-info.js'
import { sha256, standIn } from './stand-in.js'
import { filled, toolSession } from './tool-environment.js'
import { callEach, toolRun } from './tool-failure.js'

type CommandConfiguration = Extract<MigratorConfiguration, { kind: 'command' }>
type Timeouts = Pick<UpRequest, 'lockTimeoutMs' | 'statementTimeoutMs'>

/** What a tool's `status` prints. */
const Status = z.strictObject({
  migrations: z.array(
    z.strictObject({
      version: z.string().min(1),
      name: z.string().optional(),
      state: z.enum(['applied', 'pending']),
      phase: z.enum(['expand', 'contract']).default('expand'),
      transactional: z.boolean().default(true),
      checksum: z.string().optional(),
      sql: z.string().optional(),
    }),
  ),
})
type Status = z.infer<typeof Status>

const LOOK = { lockTimeoutMs: 5_000, statementTimeoutMs: 30_000 }
const STATUS_WITHIN_MS = 120_000
const STATUS_LIMIT = 16_777_216

/** Any tool that answers `status` in JSON. It alone knows its ledger, so it is asked, and its sessions can only read then. */
export function commandMigrator(configuration: CommandConfiguration, context: HostedContext): Migrator {
  const { status, format, up, down, dir, urlVariable } = configuration
  const { host, withTarget, logDirectory } = context
  let lastTag = ''

  const place = (tag: string): { cwd?: string } => (dir === undefined ? {} : { cwd: dir.replaceAll('{tag}', tag) })
  const secrets = (target: Target | undefined): string[] => [
    ...context.secrets,
    ...(target?.password ? [target.password] : []),
  ]

  const ask = async (tag: string, target: Target | undefined, signal?: AbortSignal): Promise<Status> => {
    lastTag = tag
    const answer = new Answer(format)
    const asked = { command: filled(status, { tag }), ...place(tag), onAnswer: (line: string) => answer.add(line) }
    const run = { name: 'migrator status', ...asked, secrets: secrets(target), timeoutMs: STATUS_WITHIN_MS }
    const call = (env: Record<string, string>): Promise<ProgramResult> =>
      host.run(tag, { ...run, env }, signal ?? new AbortController().signal)
    const askAt = (at: Target, readOnly: boolean): Promise<ProgramResult> =>
      withTarget(at, toolSession(STATUS_SESSION, { ...LOOK, readOnly }), urlVariable, call)
    let result = await (target ? askAt(target, true) : call({}))
    if (target && format === 'sqlx-info' && makesItsLedger(result)) {
      await requireSqlxLedger(target, status)
      answer.forget()
      result = await askAt(target, false)
    }
    if (result.exitCode === 0) return answer.status()
    throw failure('PlanInvalid', `${status.join(' ')} failed (exit ${result.exitCode})`, undefined, {
      evidence: result.stderr || result.stdout,
    })
  }
  const told = async (tag: string, target: Target | undefined): Promise<Migration[]> =>
    migrationsOf(await ask(tag, target), down !== undefined, await stampOf(host, tag))
  const act = async (
    name: string,
    command: string[],
    request: Timeouts & { tag: string; target: string },
    target: Target,
    fence: Fence,
  ): Promise<ToolRun> => {
    const run = { name, command: filled(command, { tag: request.tag, target: request.target }), ...place(request.tag) }
    return withTarget(target, toolSession(fence.applicationName, request), urlVariable, async (env) =>
      toolRun(name, await host.runFenced(request.tag, { ...run, env, secrets: secrets(target), logDirectory }, fence)),
    )
  }
  const stopsAtTarget = hasTarget(up)
  /** sqlx does not say which leave their transaction: a call for each would part what the tool does in one. */
  const isApart = (command: string[]): boolean => hasTarget(command) && format === 'json'
  const undo = down && {
    waysDown: async ({ tag, target }: { tag: string; target: string }, ledger: Ledger): Promise<Migration[]> =>
      waysDownOf(await told(tag, context.target), ledger, target, wayDown),
    down: async (
      request: Timeouts & { tag: string; target: string } & Pick<UpRequest, 'asking'>,
      target: Target,
      fence: Fence,
    ): Promise<ToolRun> => {
      const { asking = (work) => work() } = request
      const now = await asking(() => ask(request.tag, target, fence.signal))
      const ways = await waysDownOf(migrationsOf(now, true, undefined), ledgerOf(now), request.target, wayDown)
      const versions = ways.map(({ version }) => version)
      const groups = isApart(down) ? groupsDownOf(ways, request.target) : asOneGroup(ways, versions)
      return callEach(groups, (group) =>
        act('migrator down', down, { ...request, ...group, ...limitsOf(group) }, target, fence),
      )
    },
  }

  return {
    stopsAtTarget,
    ledgerTable: undefined,
    migrations: (tag) => told(tag, context.target),
    ledger: async (session, tag = lastTag) => ledgerOf(await ask(tag, at(session, context.target))),
    up: async (request, target, fence) => {
      const { asking = (work) => work() } = request
      const look = (): Promise<Status> => asking(() => ask(request.tag, target, fence.signal))
      const filesOf = async (status: Status): Promise<Migration[]> =>
        migrationsOf(status, false, await stampOf(host, request.tag))
      const now = await look()
      const question = {
        files: await filesOf(now),
        ledger: ledgerOf(now),
        target: request.target,
        planned: request.planned,
      }
      const pending = pendingVersions({ ...question, isLinear: false, stopsAtTarget })
      const groups = (isApart(up) ? groupsOf : asOneGroup)(question.files, pending)
      return callEach(groups, async (group, index) => {
        // Again for each but the first: the group before it may have taken hours.
        if (index > 0)
          requireAsPlanned(
            await filesOf(await look()),
            request.planned.filter(({ version }) => group.versions.includes(version)),
          )
        if (!group.transactional && group.sql.length > 0)
          await withOwnSession(target, fence, {}, (session) => dropHalfBuilt(session, group.sql, fence))
        const to = index === groups.length - 1 ? request.target : (group.versions.at(-1) ?? '')
        return act('migrator up', up, { ...request, ...limitsOf(group), target: to }, target, fence)
      })
    },
    ...undo,
    describe: async (tag) => [`${up.join(' ')}: ${(await ask(tag, context.target)).migrations.length} migrations`],
  }
}

const hasTarget = (command: readonly string[]): boolean => command.some((argument) => argument.includes('{target}'))

/** Its SQL is not known. */
const wayDown = ({ sql: _, ...migration }: Migration): Migration => migration

/** What builds indexes concurrently waits for others, while nobody waits behind it. */
const limitsOf = ({ transactional }: Group): Partial<Timeouts> => (transactional ? {} : { lockTimeoutMs: 0 })

/**
 * `sqlx migrate info` begins with `create table if not exists`, which a session that only reads refuses, whether the table is
 * there or not: sqlx-core/src/postgres/migrate.rs.
 */
const makesItsLedger = ({ exitCode, stdout, stderr }: ProgramResult): boolean =>
  exitCode !== 0 && /read-only transaction/.test(`${stderr}${stdout}`)

/** Where the table is there sqlx has nothing to make, and may be asked in a session that could. Throws `PlanInvalid` where it is not. */
async function requireSqlxLedger(target: Target, status: readonly string[]): Promise<void> {
  const options = { applicationName: STATUS_SESSION, readOnly: true }
  const isThere = await withSession(target, options, async (session) => {
    const { rows } = await session.query<{ there: boolean }>(
      `select to_regclass('_sqlx_migrations') is not null as there`,
    )
    return rows[0]?.there === true
  })
  if (isThere) return
  throw failure(
    'PlanInvalid',
    `${status.join(' ')} makes the table _sqlx_migrations, which is not there yet: a question must change nothing`,
    undefined,
    { hint: `run ${status.join(' ')} once by hand, against this database` },
  )
}

/** The tool's own answer, put together from its lines. */
class Answer {
  readonly #format: CommandConfiguration['format']
  #text = ''

  constructor(format: CommandConfiguration['format']) {
    this.#format = format
  }

  /** Of a try that came to nothing. */
  forget(): void {
    this.#text = ''
  }

  add(line: string): void {
    if (this.#text.length < STATUS_LIMIT) this.#text += `${line}\n`
  }

  status(): Status {
    const printed = this.#format === 'json' ? this.#json() : { migrations: parseSqlxInfo(this.#text) }
    const { data, error } = Status.safeParse(printed)
    if (data) return data
    throw failure(
      'PlanInvalid',
      `the migrator's status is not what headgate expects: ${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`,
    )
  }

  #json(): unknown {
    try {
      return JSON.parse(this.#text)
    } catch (error) {
      throw failure('PlanInvalid', "the migrator's status is not JSON", error)
    }
  }
}

/** What stands for the files, where they are not seen. */
const stampOf = async (host: ToolHost, tag: string): Promise<string | undefined> =>
  host.isHere ? undefined : host.image(tag, 'present')

/** `stamp` stands for the files of a tool that tells neither checksums nor SQL. */
function migrationsOf({ migrations }: Status, hasDown: boolean, stamp: string | undefined): Migration[] {
  if (migrations.length === 0) throw failure('PlanInvalid', 'the migrator knows of no migrations')
  const versions = migrations.map(({ version }) => version)
  const twice = versions.filter((version, index) => versions.indexOf(version) !== index)
  if (twice.length > 0) throw failure('PlanInvalid', `the migrator's status names ${twice.join(', ')} twice`)
  return migrations.map(({ version, name, phase, transactional, checksum, sql }) => ({
    version,
    name: name ?? version,
    phase,
    transactional,
    checksum: checksum ?? (sql === undefined ? standIn(version, stamp) : sha256(sql)),
    hasDown,
    ...(sql === undefined ? {} : readSql(sql)),
  }))
}

const ledgerOf = ({ migrations }: Status) => ({
  exists: true,
  applied: migrations
    .filter(({ state }) => state === 'applied')
    .map(({ version, name }) => ({ version, ...(name === undefined ? {} : { name }) })),
})

/** The session may be on another database than the configured one: a restored copy. */
const at = (session: Client, target: Target | undefined): Target | undefined =>
  target && session.database !== undefined ? withDatabase(target, session.database) : target
