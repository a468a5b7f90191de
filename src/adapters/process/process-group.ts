import { readdirSync, readFileSync } from 'node:fs'
import { failure } from '../../domain/failures.js'

/** A process group as it is recorded: its leader's id, and when the leader started, since ids are used again. */
export interface ProcessGroup {
  pid: number
  startTime: string
}

interface ProcessState {
  pid: number
  state: string
  group: number
  startTime: string
}

/** Holds the attempt's application name, for a program that leaves nothing running behind it. */
export const ATTEMPT_VARIABLE = 'HEADGATE_ATTEMPT'
const POLL_MS = 20
/** How long a killed group may take to leave the kernel. Longer means a process that hangs in a system call. */
const KILLED_WITHIN_MS = 30_000

/** When a process started, in clock ticks since boot; empty when it is gone or the system has no /proc. */
export const startTimeOf = (pid: number): string => stateOf(pid)?.startTime ?? ''

/**
 * Ends a recorded group: TERM, and KILL when `withinMs` is over; returns once it is gone. Does nothing when its leader's id
 * belongs to another process by now; where the leader is gone, members are ended that carry the name of an attempt of ours.
 * May be called again, by several at once. Throws `Unexpected` when the kernel does not let go of it.
 */
export async function endProcessGroup(recorded: ProcessGroup, withinMs: number): Promise<void> {
  const leader = stateOf(recorded.pid)
  if (leader && leader.startTime !== recorded.startTime) return
  if (leader) return endGroup(recorded.pid, withinMs)
  await endEach(liveMembers(recorded.pid).filter(carriesOurName))
}

/** Groups that are to go when this process exits at once, without waiting for anything. */
const ours = new Set<number>()

/** The kernel ends a group's leader with us, where it can; its children are ended here. Returns what lets the group be. */
export function endWithUs(group: number): () => void {
  if (ours.size === 0) process.on('exit', endOurs)
  ours.add(group)
  return () => {
    ours.delete(group)
    if (ours.size === 0) process.off('exit', endOurs)
  }
}

function endOurs(): void {
  for (const group of ours) signalGroup(group, 'SIGKILL')
}

/** Ends a group whose leader is known to be ours. */
export async function endGroup(group: number, withinMs: number): Promise<void> {
  signalGroup(group, 'SIGTERM')
  if (await isGoneWithin(group, withinMs)) return
  signalGroup(group, 'SIGKILL')
  if (await isGoneWithin(group, KILLED_WITHIN_MS)) return
  throw failure('Unexpected', `process group ${group} was killed and is still there`)
}

async function endEach(members: ProcessState[]): Promise<void> {
  for (const member of members) signal(member.pid, 'SIGKILL')
  for (const member of members) {
    const deadline = performance.now() + KILLED_WITHIN_MS
    while (stateOf(member.pid)?.startTime === member.startTime && isLive(stateOf(member.pid))) {
      if (performance.now() > deadline)
        throw failure('Unexpected', `process ${member.pid} was killed and is still there`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
}

async function isGoneWithin(group: number, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  for (;;) {
    if (!isAlive(group)) return true
    if (performance.now() > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** Whether anything of the group still runs. A zombie does not: in a container it may never be reaped. */
export function isAlive(group: number): boolean {
  if (!signal(-group, 0)) return false
  return startTimeOf(process.pid) === '' || liveMembers(group).length > 0
}

const signalGroup = (group: number, name: NodeJS.Signals): boolean => signal(-group, name)

/** False when there is nobody to get it. */
function signal(id: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(id, name)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}

function liveMembers(group: number): ProcessState[] {
  return processIds()
    .map(stateOf)
    .filter((process) => process !== undefined)
    .filter((process) => process.group === group && isLive(process))
}

const isLive = (process: ProcessState | undefined): boolean => process !== undefined && !'ZX'.includes(process.state)

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

/** /proc/<pid>/stat. The command's name may hold spaces and brackets: fields are counted after the last one. */
function stateOf(pid: number): ProcessState | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, state: fields[0] ?? '', group: Number(fields[2]), startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

function carriesOurName({ pid }: ProcessState): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
      .split('\0')
      .some((entry) => entry.startsWith('PGAPPNAME=hg:') || entry.startsWith(`${ATTEMPT_VARIABLE}=hg:`))
  } catch {
    return false
  }
}
