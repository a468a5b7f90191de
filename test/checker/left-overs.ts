import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect, elsewhere } from './connect.js'

/** Where runs may have left something. */
export interface Ground {
  /** Of the database, as a superuser. */
  url: string
  /** Folders that runs write to. */
  folders: readonly string[]
  /** Of the workers that run now. */
  workers: readonly number[]
}

export interface LeftOvers {
  /** What must not be there; empty is well. */
  left: string[]
  /** Databases that are kept on purpose, and named as such. */
  quarantines: string[]
  clones: string[]
}

/** What is still on its way out may take this long. */
const SOON_MS = 10_000

/**
 * What runs have left: databases, backends, prepared transactions, advisory locks, unfinished files, processes. Looks until
 * nothing is left, or what is left has stayed for `soonMs`: a session that goes and comes again is not the same one.
 */
export async function leftOvers(ground: Ground, soonMs = SOON_MS): Promise<LeftOvers> {
  const deadline = Date.now() + soonMs
  let staying: Set<string> | undefined
  for (;;) {
    const { databases, left } = await look(ground)
    staying = new Set(left.filter((one) => staying?.has(one) ?? true))
    if (staying.size === 0 || Date.now() > deadline)
      return {
        left: [...staying].sort(),
        quarantines: databases.filter((name) => /__q_\d{12}_[0-9a-f]{4}$/.test(name)),
        clones: databases.filter((name) => /__c_\d{12}_[0-9a-f]{4}$/.test(name)),
      }
    await pause(200)
  }
}

async function look(ground: Ground): Promise<{ databases: string[]; left: string[] }> {
  const family = await familyOf(ground.workers)
  const server = await onServer(ground.url, new Set(await socketsOf([...ground.workers, ...family])))
  const files = await Promise.all(ground.folders.map(partialFiles))
  const processes = await processesIn(ground, family)
  return { databases: server.databases, left: [...server.left, ...files.flat(), ...processes] }
}

async function onServer(url: string, ports: ReadonlySet<number>): Promise<{ databases: string[]; left: string[] }> {
  const name = decodeURIComponent(new URL(url).pathname.slice(1))
  const ask = await connection(elsewhere(url))
  try {
    const found = await ask(
      `select datname as one from pg_database where datname <> $1 and starts_with(datname, left($1, 35) || '__')`,
      [name],
    )
    const family = [name, ...found]
    const kept = /__[qc]_\d{12}_[0-9a-f]{4}$/
    const backends = await ask(
      `select json_build_object('text', format('backend %s of %s on %s since %s', pid, application_name, datname, backend_start), 'port', client_port, 'ours', datname = any ($1))::text as one
         from pg_stat_activity where application_name like 'hg:%'`,
      [family],
    )
    const abroad = await clientPorts()
    const ours = backends
      .map((text): { text: string; port: number; ours: boolean } => JSON.parse(text))
      // Elsewhere in the cluster: one of our workers', or of a client that is gone.
      .filter(({ ours, port }) => ours || ports.has(port) || (abroad !== undefined && !abroad.has(port)))
    return {
      databases: found,
      left: [
        ...found.filter((one) => !kept.test(one)).map((one) => `database ${one}`),
        ...ours.map(({ text }) => text),
        ...(await ask(
          `select format('prepared transaction %s on %s', gid, database) as one from pg_prepared_xacts where database = any ($1)`,
          [family],
        )),
        ...(await ask(
          `select format('advisory lock %s/%s on %s of %s', classid, objid, datname, pid) as one from pg_locks join pg_database d on d.oid = database
            where locktype = 'advisory' and datname = any ($1)`,
          [family],
        )),
      ],
    }
  } finally {
    await ask('end')
  }
}

type Ask = (sql: string, values?: unknown[]) => Promise<string[]>

async function connection(url: string): Promise<Ask> {
  const client = await connect(url)
  return async (sql, values) => {
    if (sql !== 'end') return (await client.query<{ one: string }>(sql, values)).rows.map(({ one }) => one)
    await client.end()
    return []
  }
}

async function partialFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true }).catch(() => [])
  return files.filter((file) => file.includes('.partial')).map((file) => `unfinished ${file}`)
}

/** Descendants of these processes. */
async function familyOf(workers: readonly number[]): Promise<number[]> {
  const all = await processes()
  const family: number[] = []
  const add = (parent: number): void => {
    for (const { pid } of all.filter(({ ppid }) => ppid === parent)) {
      family.push(pid)
      add(pid)
    }
  }
  for (const worker of workers) add(worker)
  return family
}

/** Children of workers, and whoever works in the folders: a child of a worker that was killed has another parent. */
async function processesIn({ folders, workers }: Ground, family: readonly number[]): Promise<string[]> {
  const left: string[] = []
  for (const { pid, args } of await processes()) {
    if (workers.includes(pid) || pid === process.pid) continue
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    const isInside = folders.some((folder) => args.includes(folder) || cwd === folder || cwd.startsWith(`${folder}/`))
    if (family.includes(pid) || isInside) left.push(`process ${pid}: ${args}`)
  }
  return left
}

async function processes(): Promise<{ pid: number; ppid: number; args: string }[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,stat=,args='], { maxBuffer: 1 << 26 })
  return stdout.split('\n').flatMap((line) => {
    const [, pid, ppid, state, args] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
    // What has ended and was not yet asked for how does nothing any more.
    return args === undefined || state?.startsWith('Z') ? [] : [{ pid: Number(pid), ppid: Number(ppid), args }]
  })
}

/** Local ports of TCP connections of this machine, by socket; undefined where the kernel does not tell. */
async function connections(): Promise<Map<string, number> | undefined> {
  const text = await readFile('/proc/net/tcp', 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const rows = text.trim().split('\n').slice(1)
  return new Map(
    rows.map((row) => {
      const fields = row.trim().split(/\s+/)
      return [fields[9] ?? '', Number.parseInt(fields[1]?.split(':')[1] ?? '0', 16)]
    }),
  )
}

const clientPorts = async (): Promise<Set<number> | undefined> => {
  const found = await connections()
  // A connection that nobody holds any more has socket 0.
  found?.delete('0')
  return found && new Set(found.values())
}

/** Local ports of the TCP connections that these processes hold. */
async function socketsOf(pids: readonly number[]): Promise<number[]> {
  const known = (await connections()) ?? new Map<string, number>()
  const ports: number[] = []
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) ?? []
      const port = inode === undefined ? undefined : known.get(inode)
      if (port !== undefined) ports.push(port)
    }
  }
  return ports
}
