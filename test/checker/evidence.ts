import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Baseline, consumersNow, isOpen, look, serviceNow } from './baseline.js'
import { connect, elsewhere } from './connect.js'
import { leftOvers } from './left-overs.js'
import type { Scene } from './scene.js'
import { type Snapshot, snapshotOf } from './snapshot.js'
import type { Watched } from './watch.js'
import { type Execution, executionsOf } from './workflows.js'

/** Everything that is known when a run is over: enough to judge it without looking again. */
export interface Evidence {
  scene: Scene
  before: Baseline
  watched: Watched
  /** Nobody can look inside: then what is inside is as it was before. */
  isShut: boolean
  now: Baseline
  /** The schema a release leads to, and the one between its stages, as their reference databases have it. */
  target: Snapshot
  between: Snapshot
  executions: Execution[]
  /** Acknowledged writes that are not in the live database as they were written: what is there, and which quarantine has them. */
  missing: { key: string; found?: string; quarantine?: string }[]
  audit: { what: string; at: string }[]
  approvals: string[]
  left: string[]
  /** Where a secret was found. */
  told: string[]
  /** What the report of each run says; undefined: there is none. */
  reports: { run: string; text?: string }[]
}

export async function gather(scene: Scene, before: Baseline, watched: Watched): Promise<Evidence> {
  const left = await leftOvers({ url: scene.url, folders: scene.folders, workers: await workersOf(scene) })
  const executions = (await executionsOf(scene)).filter(({ startedAt }) => startedAt >= before.at)
  const isShut = !(await isOpen(scene))
  const now = isShut
    ? { ...before, consumers: await consumersNow(scene), service: await serviceNow(scene) }
    : await look(scene, before)
  const name = decodeURIComponent(new URL(scene.url).pathname.slice(1))
  const referenceOf = async (database: string): Promise<Snapshot> => {
    const url = new URL(scene.url)
    url.pathname = `/${database}`
    const snapshot = await snapshotOf({ url: url.href, pgDump: scene.pgDump })
    return JSON.parse(JSON.stringify(snapshot).replaceAll(name, 'THE_DATABASE'))
  }
  return {
    ...{ scene, before, watched, isShut, now, executions, left: left.left },
    target: await referenceOf(scene.release.target),
    between: await referenceOf(scene.release.between),
    missing: isShut ? [] : await missingWrites(scene, left.quarantines),
    audit: isShut ? [] : await auditOf(scene),
    approvals: await linesOf(scene.approvals),
    told: await toldIn(scene, executions),
    reports: await reportsOf(scene, executions),
  }
}

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean)

/** Those of the workers that are alive. */
async function workersOf({ workers }: Scene): Promise<number[]> {
  const alive = await Promise.all(
    (await linesOf(workers)).map(async (pid) => {
      const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
      return text !== '' && text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) !== 'Z' ? Number(pid) : 0
    }),
  )
  return alive.filter(Boolean)
}

async function missingWrites(scene: Scene, quarantines: readonly string[]): Promise<Evidence['missing']> {
  const { file, table, key, value } = scene.acknowledged
  const rowsOf = async (url: string): Promise<Map<string, string>> => {
    const client = await connect(url)
    const { rows } = await client.query<{ key: string; value: string }>(
      `select ${key}::text as key, ${value}::text as value from ${table}`,
    )
    await client.end()
    return new Map(rows.map((row) => [row.key, row.value]))
  }
  const live = await rowsOf(scene.url)
  const kept = new Map<string, Map<string, string>>()
  for (const name of quarantines) {
    // A person who looks into it opens it.
    const client = await connect(elsewhere(scene.url))
    await client.query(`alter database "${name}" allow_connections true`)
    await client.end()
    kept.set(name, await rowsOf(elsewhere(scene.url, name)).catch(() => new Map()))
  }
  return (await linesOf(file)).flatMap((line) => {
    const [written = '', meant = ''] = line.split('\t')
    const found = live.get(written)
    if (found === meant) return []
    const [quarantine] = [...kept].find(([, rows]) => rows.has(written)) ?? []
    return [
      { key: written, ...(found === undefined ? {} : { found }), ...(quarantine === undefined ? {} : { quarantine }) },
    ]
  })
}

async function auditOf({ url, audit }: Scene): Promise<Evidence['audit']> {
  const client = await connect(url)
  const { rows } = await client.query<{ what: string; at: Date }>(`select what, at from ${audit} order by at`)
  await client.end()
  return rows.map(({ what, at }) => ({ what, at: at.toISOString() }))
}

const LARGEST = 64 * 1024 * 1024

/** Histories, files and their names. What a secret stands in by itself must not be among them. */
async function toldIn({ secrets, told }: Scene, executions: readonly Execution[]): Promise<string[]> {
  const has = (text: string | Buffer): boolean => secrets.some((secret) => text.includes(secret))
  const found = executions.filter(({ history }) => has(history)).map(({ workflowId }) => `the history of ${workflowId}`)
  for (const place of told) {
    const isFile = (await stat(place).catch(() => undefined))?.isFile()
    const names = isFile ? [''] : await readdir(place, { recursive: true }).catch(() => [])
    for (const name of names) {
      const path = join(place, name)
      if (has(name)) found.push(`the name of ${path}`)
      const info = await stat(path).catch(() => undefined)
      if (info?.isFile() && info.size < LARGEST && has(await readFile(path).catch(() => ''))) found.push(path)
    }
  }
  return found
}

/** As a person would: by the command line, for every run that a workflow names. */
async function reportsOf({ report }: Scene, executions: readonly Execution[]): Promise<Evidence['reports']> {
  const runs = new Set(
    executions.flatMap(
      ({ history }) => /\\?"run\\?":\\?"([a-z][a-z0-9-]*-\d{8}-\d{6}(?:-\d+)?)/.exec(history)?.[1] ?? [],
    ),
  )
  const [program = '', ...args] = report
  return Promise.all(
    [...runs].map(async (run) => {
      const typed = args.map((word) => word.replace('{run}', run))
      const { stdout } = await promisify(execFile)(program, typed, { maxBuffer: 1 << 26 }).catch(() => ({ stdout: '' }))
      return stdout.trim() === '' ? { run } : { run, text: stdout }
    }),
  )
}
