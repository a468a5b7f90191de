import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const Probe = z.strictObject({
  name: z.string(),
  /** Answers `{"state": "running" | "paused"}`. */
  status: z.url(),
})

/**
 * Where a run takes place, for one who looks on from outside: addresses, files, and what whoever set it up knows of it. One
 * JSON file; nothing in it comes from what is judged.
 */
export const Scene = z.strictObject({
  /** Of the database, as a superuser. */
  url: z.string(),
  pgDump: z.string(),
  /** `runs` is what the IDs of its workflows begin with. */
  temporal: z.strictObject({ address: z.string(), namespace: z.string(), runs: z.string() }),
  /** A file with the process ids of all workers so far, one a line. */
  workers: z.string(),
  /** Folders that runs and tools write to. */
  folders: z.array(z.string()),
  /** Where backups go. */
  backups: z.string(),
  consumers: z.array(Probe),
  /** `current` holds the tag of what runs, as long as `running` is there. */
  service: z.strictObject({ current: z.string(), running: z.string() }).optional(),
  /** The writes whose COMMIT was heard of: a file with `key<tab>value` lines, and where they have to be. */
  acknowledged: z.strictObject({ file: z.string(), table: z.string(), key: z.string(), value: z.string() }),
  /** Tables that people write to beside the run: compared by the rows that were there before. `id` never falls. */
  written: z.array(z.strictObject({ table: z.string(), id: z.string() })),
  /** Has a row (`version`) for each migration that was applied. */
  ledger: z.strictObject({ table: z.string(), version: z.string() }),
  release: z.strictObject({
    /** `down`: the release was there before, and the run takes it back. */
    direction: z.enum(['up', 'down']),
    tags: z.strictObject({ previous: z.string(), next: z.string() }),
    expand: z.array(z.string()),
    contract: z.array(z.string()),
    /** Databases on the same server, made with nothing but SQL: at the release's schema, and as it is between its two stages. */
    target: z.string(),
    between: z.string(),
  }),
  /** Each audited migration adds a row to it: `what` (its version) and `at` (its own clock). */
  audit: z.string(),
  /** The moments a person approved, as ISO times of the same machine, one a line. */
  approvals: z.string(),
  /** Nobody may ever see these. */
  secrets: z.array(z.string()),
  /** Files and folders in which the secrets must not be, beside the histories and the arguments of processes. */
  told: z.array(z.string()),
  /** Somebody else on the same server. */
  bystander: z.strictObject({ url: z.string(), application: z.string() }).optional(),
  /** What the application calls itself; how long it may wait behind a run while the gate is open. */
  application: z.string(),
  longestWaitMs: z.number(),
  /** What a person types to read the report of a run, as JSON; `{run}` is its name. */
  report: z.array(z.string()),
})
export type Scene = z.infer<typeof Scene>

export const readScene = async (file: string): Promise<Scene> => Scene.parse(JSON.parse(await readFile(file, 'utf8')))
