import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { failure } from '../../domain/failures.js'
import { endProcessGroup, isAlive, startTimeOf } from './process-group.js'

/** What a demo left up to be looked at, written down so that a later command can end it. */
const KeptDemo = z.strictObject({
  /** The leaders of process groups, in the order in which they are ended. */
  processes: z.array(z.strictObject({ name: z.string(), pid: z.int().positive(), startTime: z.string() })),
  /** Everything that is to go when they have ended. */
  folders: z.array(z.string()),
})
export type KeptDemo = z.infer<typeof KeptDemo>

const END_WITHIN_MS = 5_000

const recordIn = (home: string): string => join(home, 'demo', 'kept.json')

/** Where a demo that is to be kept has its files. */
export const keptFolder = (home: string): string => join(home, 'demo')

/** A folder for one demo: `home`'s when it is to be kept, else one for temporary files. */
export async function makeDemoFolder(home: string | undefined): Promise<string> {
  if (home === undefined) return mkdtemp(join(tmpdir(), 'headgate-demo-'))
  await mkdir(keptFolder(home), { recursive: true, mode: 0o700 })
  return keptFolder(home)
}

export const removeDemoFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

/** Replaces the record. */
export async function writeKeptDemo(
  home: string,
  processes: readonly { name: string; pid: number }[],
  folders: readonly string[],
): Promise<void> {
  const record: KeptDemo = {
    processes: processes.map(({ name, pid }) => ({ name, pid, startTime: startTimeOf(pid) })),
    folders: [...folders],
  }
  await writeFile(recordIn(home), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
}

/** What was kept; undefined when nothing was. */
export async function readKeptDemo(home: string): Promise<KeptDemo | undefined> {
  const text = await readFile(recordIn(home), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : KeptDemo.parse(JSON.parse(text))
}

/** Ends what was kept and removes its folders. Twice is once. Throws `Unexpected` naming what is still there. */
export async function endKeptDemo({ processes, folders }: KeptDemo): Promise<void> {
  for (const recorded of processes) {
    await endProcessGroup(recorded, END_WITHIN_MS)
    // Where the system does not tell when a process started, nobody knows whose it is.
    if (recorded.startTime === '' && isAlive(recorded.pid))
      throw failure('Unexpected', `${recorded.name} may still be there: look at process ${recorded.pid}, and end it`)
  }
  for (const folder of folders) await removeDemoFolder(folder)
}
