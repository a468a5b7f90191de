import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { applicationName, parseApplicationName } from '../../domain/names.js'
import { endOlderSessions } from '../postgres/gate.js'
import { leave } from '../postgres/leave.js'
import { openSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import { engineIdOf } from '../process/container-engine.js'
import { removeContainer } from '../process/container-host.js'
import { endProcessGroup } from '../process/process-group.js'
import {
  currentEpoch,
  forgetContainer,
  forgetProcesses,
  olderContainers,
  olderProcesses,
  otherHolder,
  raiseEpoch,
} from './epochs.js'
import { type FenceRequest, HeldFence } from './held-fence.js'
import type { Journal } from './journal.js'

export type { FenceRequest } from './held-fence.js'

const END_WITHIN_MS = 10_000
/** How often a run that works on the database is asked after. */
const TURN_MS = 500

/** What an attempt has while it holds the fence. */
export interface Held {
  fence: Fence
  /** A session on the cluster's maintenance database under the attempt's own name. */
  control: Client
  /** Writes nothing any more once a later attempt has raised the epoch: then it throws `FenceLost`. */
  journal: Journal
  /** As `fence.check`, but also an attempt that was told to stop may still look. */
  requireHeld: () => Promise<void>
}

/**
 * Eight hex digits that stand for journal, cluster and database in an application name. By what the server says of itself:
 * two workers may reach the same journal under two names, and must know each other's sessions all the same.
 */
export async function fenceScope(journal: Journal, resource: string): Promise<string> {
  const [at] = await journal.read<{ system: string; database: string }>(
    'select system_identifier::text as system, current_database() as database from pg_control_system()',
  )
  return createHash('sha256')
    .update(JSON.stringify([at?.system, at?.database, journal.schema, resource]))
    .digest('hex')
    .slice(0, 8)
}

/** Sessions of whoever is at work on the resource now: an attempt is, as long as its guard is connected. */
export async function guardsOf(journal: Journal, resource: string): Promise<string[]> {
  const scope = await fenceScope(journal, resource)
  const rows = await journal.read<{ name: string }>(
    'select application_name as name from pg_stat_activity where application_name like $1 order by 1',
    [`hg:${scope}:%:guard`],
  )
  return rows.map(({ name }) => name)
}

/**
 * Holds the fence of a resource while `act` runs: raises its epoch, ends what older attempts left (process
 * groups, containers, then sessions, until none is left), and keeps an advisory lock on a guard connection. Waits while another run works on the
 * resource. Throws `FenceLost` when a later attempt has taken over, whatever failed because of that.
 */
export async function withFence<T>(request: FenceRequest, act: (held: Held) => Promise<T>): Promise<T> {
  const { journal, resource, run, step } = request
  const scope = await fenceScope(journal, resource)
  await awaitTurn(request, scope)
  const epoch = await raiseEpoch(journal, resource, run, step)
  const sessions: Client[] = []
  const open = async (target: Target, as: string): Promise<Client> => {
    const session = await openSession(target, { applicationName: applicationName(scope, epoch, as) })
    sessions.push(session)
    return session
  }
  let fence: HeldFence | undefined
  try {
    const guard = await open(journal.target, 'guard')
    const held = new HeldFence(request, epoch, scope, guard)
    fence = held
    const control = await open(withDatabase(request.target, 'postgres'), step)
    await endOlderProcesses(request, epoch)
    await takeLock(guard, resource, scope, epoch)
    await endOlderSessions(control, scope, epoch, END_WITHIN_MS)
    await held.check()
    const result = await held.whileHeld(() =>
      act({ fence: held, control, journal: held.journal, requireHeld: () => held.requireHeld() }),
    )
    // After a failure they are left to the next attempt: something may not have let itself be ended.
    await forgetProcesses(journal, resource, epoch, hostname()).catch(() => {})
    return result
  } catch (error) {
    throw await lossOr(error, request, epoch, fence)
  } finally {
    await Promise.all(sessions.map(leave))
  }
}

/** What a worker on another host needs to take part in an attempt's fence. */
export type JoinRequest = Omit<FenceRequest, 'waiting' | 'onSession'> & { epoch: number }

/**
 * Runs `act` on this host for the attempt of `epoch`, which holds the fence and waits: ends what older attempts left here, and
 * loses the fence as that one does. Throws `FenceLost`, also where nobody holds that epoch any more.
 */
export async function withJoinedFence<T>(
  request: JoinRequest,
  act: (fence: Fence, journal: Journal) => Promise<T>,
): Promise<T> {
  const { journal, resource, epoch, signal } = request
  const scope = await fenceScope(journal, resource)
  const sessionName = applicationName(scope, epoch, 'joined')
  const guard = await openSession(journal.target, { applicationName: sessionName })
  const full = { ...request, waiting: signal, onSession: async () => {} }
  let fence: HeldFence | undefined
  try {
    const held = new HeldFence(full, epoch, scope, guard)
    fence = held
    const result = await held.whileJoined(async () => {
      await held.check()
      await held.requireHolder()
      // Containers are the holder's to end: it has done so.
      await endOlderGroups(full, epoch)
      return act(held, held.journal)
    })
    // Others of the same attempt may be at work beside it: what it has left behind is the next attempt's to forget.
    await forgetProcesses(journal, resource, epoch - 1, hostname()).catch(() => {})
    return result
  } catch (error) {
    throw await lossOr(error, full, epoch, fence)
  } finally {
    await leave(guard)
  }
}

/** Another run's attempt that is alive is not an older one of ours: a dump taken beside a waiting deploy must not be ended by it. */
async function awaitTurn({ journal, resource, run, waiting, progress }: FenceRequest, scope: string): Promise<void> {
  for (;;) {
    waiting.throwIfAborted()
    const other = await otherHolder(journal, resource, run, scope)
    if (!other) return
    progress(`waits for run ${other}, which works on the database`)
    await pause(TURN_MS)
  }
}

/** An attempt whose sessions were ended by a later one has not failed: it has lost the fence. */
async function lossOr(
  error: unknown,
  request: FenceRequest,
  epoch: number,
  fence: HeldFence | undefined,
): Promise<unknown> {
  if (failedWith(error, 'FenceLost') || request.signal.aborted) return error
  const evidence = { evidence: messageOf(error) }
  if (fence?.loss) return failure('FenceLost', messageOf(fence.loss), undefined, evidence)
  const now = await currentEpoch(request.journal, request.resource).catch(() => epoch)
  if (now === epoch) return error
  return failure('FenceLost', `a later attempt has taken over ${request.resource}`, undefined, evidence)
}

async function endOlderGroups({ journal, resource }: FenceRequest, epoch: number): Promise<void> {
  for (const older of await olderProcesses(journal, resource, epoch, hostname()))
    await endProcessGroup(older, END_WITHIN_MS)
}

async function endOlderProcesses(request: FenceRequest, epoch: number): Promise<void> {
  const { journal, resource } = request
  await endOlderGroups(request, epoch)
  // After the client that would make one.
  for (const older of await olderContainers(journal, resource, epoch)) {
    // One of another engine is out of reach from here; its sessions are ended all the same.
    if ((await engineIdOf(older.engine)) !== older.engineId) continue
    await removeContainer(older)
    await forgetContainer(journal, resource, older)
  }
}

/** Takes the resource's lock on the guard, ending the guard of an older attempt that will not give it up: it may be frozen. */
async function takeLock(guard: Client, resource: string, scope: string, epoch: number): Promise<void> {
  const deadline = performance.now() + END_WITHIN_MS
  for (;;) {
    const { rows } = await guard.query<{ taken: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as taken',
      [resource],
    )
    if (rows[0]?.taken) return
    await endOlderSessions(guard, scope, epoch, END_WITHIN_MS)
    if (await newerGuard(guard, scope, epoch)) throw failure('FenceLost', `a later attempt holds ${resource}`)
    if (performance.now() > deadline)
      throw failure('FenceLost', `the lock of ${resource} is held by a session that is not ours`)
    await pause(50)
  }
}

async function newerGuard(guard: Client, scope: string, epoch: number): Promise<boolean> {
  const { rows } = await guard.query<{ name: string }>(
    `select application_name as name from pg_stat_activity where application_name like 'hg:%:guard'`,
  )
  return rows.some(({ name }) => {
    const parsed = parseApplicationName(name)
    return parsed?.scope === scope && parsed.epoch > epoch
  })
}
