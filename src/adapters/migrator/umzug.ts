import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { failure } from '../../domain/failures.js'
import type { Fence, OwnSession } from '../../domain/fence.js'
import { plain, redact } from '../../domain/text.js'
import { libpqEnvironment, type Target } from '../postgres/target.js'
import { type ProgramResult, runFenced } from '../process/run.js'
import { type MigrationFile, readMigrations, wayDown } from './migration-folder.js'
import type { HostedContext, MigratorContext } from './context.js'
import type { Migrator, ToolRun } from './port.js'
import { toolSession } from './tool-environment.js'
import { qualified } from './ledger-table.js'
import { fileOf, inLedger } from './marking.js'
import { waysDownOf } from './pending.js'
import { readUmzugLedger, UmzugLedger } from './umzug-ledger.js'
import { UmzugEvent, type UmzugRequest } from './umzug-protocol.js'

const require = createRequire(import.meta.url)
const DOWN_BUDGET_MS = 60_000

/** Headgate's own migrations: a folder of SQL, TypeScript and JavaScript files, applied by umzug in a process of its own. */
export function umzugMigrator(
  { dir, table }: Extract<MigratorConfiguration, { kind: 'umzug' }>,
  context: HostedContext,
): Migrator {
  const files = async (tag: string): Promise<MigrationFile[]> => readMigrations(await context.host.folder(tag, dir))
  const call = async (request: Omit<UmzugRequest, 'files' | 'table'>, tag: string, target: Target, fence: Fence) =>
    runChild({ ...request, files: (await files(tag)).map(asked), table }, target, fence, context)
  return {
    stopsAtTarget: true,
    ledgerTable: qualified(table),
    migrations: async (tag) =>
      (await files(tag)).map(({ path: _path, downPath: _downPath, ...migration }) => migration),
    ledger: (session) => readUmzugLedger(session, table),
    up: ({ tag, planned, ...request }, target, fence) =>
      call(
        { direction: 'up', ...request, planned: planned.map(({ version, checksum }) => ({ version, checksum })) },
        tag,
        target,
        fence,
      ),
    waysDown: async ({ tag, target }, ledger) => waysDownOf(await files(tag), ledger, target, wayDown),
    down: ({ tag, planned = [], lockBudgetMs = DOWN_BUDGET_MS, asking: _, ...request }, target, fence) =>
      call(
        {
          ...{ direction: 'down', ...request, lockBudgetMs },
          planned: planned.map(({ version, checksum }) => ({ version, checksum })),
        },
        tag,
        target,
        fence,
      ),
    mark: ({ tag, version, as }, target, fence) =>
      inLedger(target, fence, async (session) => {
        const ledger = new UmzugLedger(session, table)
        if (as === 'applied') await ledger.create()
        await ledger.remove(version)
        if (as === 'applied') await ledger.add(fileOf(await files(tag), version), false)
      }),
    beginAnew: ({ tag, version }, target, fence) =>
      inLedger(target, fence, async (session) =>
        new UmzugLedger(session, table).beginAnew(fileOf(await files(tag), version)),
      ),
    describe: async () => [`umzug ${packageVersion('umzug')} on node ${process.versions.node}`],
  }
}

const asked = ({
  version,
  name,
  checksum,
  transactional,
  hasDown,
  path,
  downPath,
}: MigrationFile): UmzugRequest['files'][number] => ({
  version,
  name,
  checksum,
  transactional,
  hasDown,
  path,
  ...(downPath === undefined ? {} : { downPath }),
})

async function runChild(
  request: UmzugRequest,
  target: Target,
  fence: Fence,
  context: MigratorContext,
): Promise<ToolRun> {
  const secrets = [...context.secrets, ...(target.password ? [target.password] : [])]
  let failed: Extract<UmzugEvent, { event: 'failed' }> | undefined
  const answers = new Readable({ read: () => {} })
  // One that comes when the child is gone already is for nobody.
  answers.on('error', () => {})
  const sessions: Promise<void>[] = []
  // The child of a worker that is frozen waits, with its session open, until the next attempt has found both.
  const answer = async (session: OwnSession): Promise<void> => {
    try {
      // A session that is not journaled makes the gate count as open; only the fence decides whether it may be used.
      await fence.recordSession(session).catch(() => {})
      await fence.check()
      answers.push('\n')
    } catch {
      answers.push(null)
    }
  }
  const listen = (line: string): void => {
    const event = eventOf(line)
    if (event?.event === 'failed') failed = event
    else if (event?.event === 'session') sessions.push(answer(event.session))
    else if (event) fence.progress(inWords(event, request.direction))
  }
  const result = await runFenced(
    {
      name: `umzug ${request.direction}`,
      command: childCommand(request),
      env: libpqEnvironment(target, toolSession(fence.applicationName, request)),
      input: JSON.stringify(request),
      answers,
      logDirectory: context.logDirectory,
      onAnswer: listen,
      secrets,
    },
    fence,
  ).finally(() => answers.push(null))
  await Promise.all(sessions)
  if (failed) throw toldFailure(failed, secrets)
  return ended(result)
}

/** TypeScript is loaded by the tsx that came with us, and only where there is some. */
function childCommand({ files, direction, planned }: UmzugRequest): string[] {
  const isSource = import.meta.url.endsWith('.ts')
  const entry = fileURLToPath(new URL(`./umzug-entry.${isSource ? 'ts' : 'js'}`, import.meta.url))
  const loaded = files.filter((file) => direction === 'down' || planned.some(({ version }) => version === file.version))
  const needsTsx = isSource || loaded.some(({ path, downPath }) => path.endsWith('.ts') || downPath?.endsWith('.ts'))
  return [process.execPath, ...(needsTsx ? ['--import', pathToFileURL(require.resolve('tsx')).href] : []), entry]
}

/** A migration may print whatever it likes: only our events count. */
function eventOf(line: string): UmzugEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined
  try {
    return UmzugEvent.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

function inWords(event: Exclude<UmzugEvent, { event: 'failed' | 'session' }>, direction: 'up' | 'down'): string {
  const isUp = direction === 'up'
  if (event.event === 'started') return `${isUp ? 'applying' : 'taking back'} ${event.version}`
  if (event.event === 'finished') return `${isUp ? 'applied' : 'took back'} ${event.version}`
  return `${event.version} waits for a lock${event.blockers.length > 0 ? ` held by ${event.blockers.join('; ')}` : ''}`
}

function toldFailure(
  { code, message, changed, evidence }: Extract<UmzugEvent, { event: 'failed' }>,
  secrets: string[],
): Error {
  const shown = (text: string): string => plain(redact(text, secrets))
  return failure(code, shown(message), undefined, {
    ...(changed === undefined ? {} : { changed: shown(changed) }),
    ...(evidence === undefined ? {} : { evidence: shown(evidence) }),
  })
}

function ended(result: ProgramResult): ToolRun {
  const tail = [result.stdout, result.stderr].join('\n').trim()
  if (result.exitCode === 0) return { log: result.log ?? '', tail }
  throw failure('MigrationFailed', `umzug ended without an answer (exit ${result.exitCode})`, undefined, {
    evidence: tail,
  })
}

const packageVersion = (name: string): string => {
  const { version }: { version?: unknown } = require(`${name}/package.json`)
  return typeof version === 'string' ? version : 'of unknown version'
}
