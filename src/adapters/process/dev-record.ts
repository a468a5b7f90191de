import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** A Temporal dev server that `headgate dev` keeps up on this machine. */
export const DevRecord = z.strictObject({
  address: z.string().min(1),
  ui: z.string().optional(),
  /** Of the process that ends it. */
  pid: z.int().positive(),
  /** Whose worker runs in that process. */
  project: z.string(),
})
export type DevRecord = z.infer<typeof DevRecord>

const fileIn = (home: string): string => join(home, 'dev.json')

/** The dev server that runs now; undefined when there is none, or its process is gone. */
export async function readDevRecord(home: string): Promise<DevRecord | undefined> {
  const text = await readFile(fileIn(home), 'utf8').catch(() => '')
  const parsed = DevRecord.safeParse(parsedJson(text))
  return parsed.success && isAlive(parsed.data.pid) ? parsed.data : undefined
}

/** Runs are kept in it: for nobody else's eyes. */
export async function prepareHome(home: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 })
}

/** Replaces the record: a reader sees the old one or the new one. */
export async function writeDevRecord(home: string, record: DevRecord): Promise<void> {
  await prepareHome(home)
  const temporary = `${fileIn(home)}.${record.pid}`
  await writeFile(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  await rename(temporary, fileIn(home))
}

/** Removes the record of process `pid`; somebody else's stays. */
export async function removeDevRecord(home: string, pid: number): Promise<void> {
  const text = await readFile(fileIn(home), 'utf8').catch(() => '')
  const parsed = DevRecord.safeParse(parsedJson(text))
  if (parsed.success && parsed.data.pid === pid) await rm(fileIn(home), { force: true })
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
