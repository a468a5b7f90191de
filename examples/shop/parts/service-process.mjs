import { execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { paths, writeWhole } from './settings.mjs'

const PROGRAM = fileURLToPath(new URL('../service.mjs', import.meta.url))
const POLL_MS = 25
const LISTENS_WITHIN_MS = 20_000
const ENDS_WITHIN_MS = 20_000
const LOG_TAIL_CHARS = 2_000
const pause = () => new Promise((resolve) => setTimeout(resolve, POLL_MS))

/**
 * The service that runs for this folder, if one does. Its file is written just after it was started: who was killed in
 * between left a service without one, so the system's processes are looked through as well.
 */
export function findService(home) {
  const file = paths(home).service
  const recorded = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  if (recorded && startTimeOf(recorded.pid) === recorded.startTime) return recorded
  return processIds()
    .filter((pid) => serves(pid, home))
    .map((pid) => ({ pid, startTime: startTimeOf(pid), release: releaseOf(pid) }))[0]
}

/** Starts `release` in a session of its own, so that it outlives us and holds nothing of ours; returns once it listens. */
export async function startService(home, release, { databaseUrl, port }) {
  const log = openSync(paths(home).serviceLog, 'a', 0o600)
  const child = spawn(process.execPath, [PROGRAM, '--release', release, '--port', String(port)], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    // Nothing else of our environment: who calls us may have marked it as its own.
    env: { PATH: process.env.PATH, SHOP_DATABASE_URL: databaseUrl, SHOP_SERVICE_OF: home, SHOP_RELEASE: release },
  })
  closeSync(log)
  if (child.pid === undefined) throw new Error('the service could not be started')
  writeWhole(paths(home).service, JSON.stringify({ pid: child.pid, startTime: startTimeOf(child.pid), release }))
  child.unref()
  await untilItListens(child, home, release, port)
}

async function untilItListens(child, home, release, port) {
  const deadline = performance.now() + LISTENS_WITHIN_MS
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    const answer = await versionAt(port)
    if (answer?.pid === child.pid) return
    await pause()
  }
  const what = child.exitCode === null ? `did not listen on port ${port}` : 'ended as soon as it was started'
  const log = readFileSync(paths(home).serviceLog, 'utf8').slice(-LOG_TAIL_CHARS)
  throw new Error(`release ${release} ${what}:\n${log}`)
}

export async function versionAt(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/version`, { signal: AbortSignal.timeout(2_000) })
    return await response.json()
  } catch {
    return undefined
  }
}

/** Lets it finish its requests, then kills it; returns once it is gone. */
export async function stopService(home) {
  for (let service = findService(home); service; service = findService(home)) {
    await endProcess(service)
  }
  rmSync(paths(home).service, { force: true })
}

async function endProcess({ pid, startTime }) {
  for (const [signal, withinMs] of [
    ['SIGTERM', ENDS_WITHIN_MS],
    ['SIGKILL', ENDS_WITHIN_MS],
  ]) {
    if (startTimeOf(pid) !== startTime) return
    signalTo(pid, signal)
    const deadline = performance.now() + withinMs
    while (performance.now() < deadline) {
      if (startTimeOf(pid) !== startTime) return
      await pause()
    }
  }
  throw new Error(`process ${pid} was killed and is still there`)
}

function signalTo(pid, signal) {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** When a process started: ids are used again, pairs of id and start are not. Undefined when it is gone; a zombie is. */
function startTimeOf(pid) {
  if (existsSync('/proc/self/stat')) return startTimeInProc(pid)
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
  } catch {
    return undefined
  }
}

function startTimeInProc(pid) {
  const stat = readProc(pid, 'stat')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return stat === '' || ('ZX'.includes(fields[0]) && threadsOf(pid) <= 1) ? undefined : fields[19]
}

/** Its first thread may be dead while others still hold the port. */
function threadsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).length
  } catch {
    return 0
  }
}

const processIds = () =>
  existsSync('/proc')
    ? readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
    : []
const serves = (pid, home) => startTimeOf(pid) !== undefined && environmentOf(pid).includes(`SHOP_SERVICE_OF=${home}`)
const releaseOf = (pid) =>
  environmentOf(pid)
    .find((entry) => entry.startsWith('SHOP_RELEASE='))
    ?.slice('SHOP_RELEASE='.length)
const environmentOf = (pid) => readProc(pid, 'environ').split('\0')

function readProc(pid, name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch {
    return ''
  }
}
