import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { consumersNow, serviceNow } from './baseline.js'
import { connect, elsewhere } from './connect.js'
import type { Scene } from './scene.js'

const EVERY_MS = 45
/** Looking through all processes is dear. */
const PROCESSES_EVERY = 5

/** What was seen while a run went on. Times are ISO, of this machine. */
export interface Watched {
  samples: number
  /** Each set of attempts that were at work in the database at once: more than one is too many. */
  together: string[]
  /** What the service ran, and from when on. */
  service: { at: string; tag: string }[]
  consumers: { at: string; states: Record<string, string> }[]
  /** When a session of a step that migrates was first seen at work. */
  migrating?: string
  /** From when on a copy of before was there (a clone or a finished dump), and when none was. */
  backup: { at: string; is: boolean }[]
  /** Whoever waited too long behind one of the run's sessions. */
  waited: string[]
  /** Processes in whose arguments a secret was. */
  told: string[]
}

/** Looks on until `signal` aborts. Opens no session in the database: that would open its gate. */
export async function watch(scene: Scene, signal: AbortSignal): Promise<Watched> {
  const seen: Watched = { samples: 0, together: [], service: [], consumers: [], backup: [], waited: [], told: [] }
  // What earlier runs have kept is no backup of this one.
  const old = new Set([...(await dumpsIn(scene.backups)), ...(await clonesOf(scene))])
  while (!signal.aborted) {
    try {
      await sample(scene, seen, old, signal)
    } catch {
      // The server is away for a while: there is nobody to look at.
    }
    await pause(EVERY_MS)
  }
  return seen
}

/** On one connection, as long as it holds. */
async function sample(scene: Scene, seen: Watched, old: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  const client = await connect(elsewhere(scene.url))
  const database = decodeURIComponent(new URL(scene.url).pathname.slice(1))
  try {
    while (!signal.aborted) {
      const at = new Date().toISOString()
      const { rows } = await client.query<{ who: string; kind: string }>(SESSIONS, [
        database,
        scene.application,
        scene.longestWaitMs,
      ])
      const attempts = rows.filter(({ kind }) => kind === 'at work').map(({ who }) => who)
      // hg:<scope>:<epoch>:<step>
      if (new Set(attempts.map((who) => who.split(':')[2])).size > 1) add(seen.together, attempts.join(' and '))
      if (attempts.some((who) => who.endsWith(':migrate'))) seen.migrating ??= at
      for (const { who } of rows.filter(({ kind }) => kind === 'waits')) add(seen.waited, who)
      const clones = rows.filter(({ kind }) => kind === 'copy').map(({ who }) => who)
      const copies = [...clones, ...(await dumpsIn(scene.backups))]
      change(seen.backup, 'is', { at, is: copies.some((copy) => !old.has(copy)) })
      change(seen.service, 'tag', { at, tag: await serviceNow(scene) })
      change(seen.consumers, 'states', { at, states: await consumersNow(scene) })
      if (seen.samples % PROCESSES_EVERY === 0) for (const text of await arguments_(scene.secrets)) add(seen.told, text)
      seen.samples += 1
      await pause(EVERY_MS)
    }
  } finally {
    await client.end().catch(() => {})
  }
}

const CLONES = `select datname as who from pg_database where starts_with(datname, left($1, 35) || '__c_')`

/** A session that has only said hello (its settings are asked for once it is in) is not at work. */
const SESSIONS = `
  select 'at work' as kind, application_name as who from pg_stat_activity
   where datname = $1 and application_name like 'hg:%' and state in ('active', 'idle in transaction')
     and query not like '%current_setting(''application_name'')%'
  union
  select 'copy', who from (${CLONES}) clones
  union
  select 'waits', format('%s waited behind %s: %s', waiting.application_name, ours.application_name, ours.query)
    from pg_stat_activity waiting, pg_stat_activity ours
   where waiting.datname = $1 and waiting.application_name = $2 and waiting.wait_event_type = 'Lock'
     and clock_timestamp() - waiting.query_start > $3 * interval '1 ms'
     and ours.application_name like 'hg:%' and ours.pid = any (pg_blocking_pids(waiting.pid))`

/** Dumps that have their final name, and say what they hold. */
async function dumpsIn(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true }).catch(() => [])
  return files.filter((file) => file.endsWith('manifest.json') && !file.includes('.partial'))
}

async function clonesOf({ url }: Scene): Promise<string[]> {
  const client = await connect(elsewhere(url))
  const { rows } = await client.query<{ who: string }>(CLONES, [decodeURIComponent(new URL(url).pathname.slice(1))])
  await client.end()
  return rows.map(({ who }) => who)
}

async function arguments_(secrets: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (secrets.some((secret) => text.includes(secret))) found.push(text.split('\0')[0] ?? '')
  }
  return found
}

function add(list: string[], text: string): void {
  if (list.length < 20 && !list.includes(text)) list.push(text)
}

function change<Key extends string, Entry extends Record<Key, unknown>>(list: Entry[], key: Key, now: Entry): void {
  if (JSON.stringify(list.at(-1)?.[key]) !== JSON.stringify(now[key])) list.push(now)
}
