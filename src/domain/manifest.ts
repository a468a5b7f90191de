import { z } from 'zod'

/** One table's rows: a count and an order-independent hash of their text, the same across dump and restore. */
export const TableRows = z.strictObject({ rows: z.string(), hash: z.string().optional() })
export type TableRows = z.infer<typeof TableRows>

/** One object of a schema fingerprint. */
export const SchemaObject = z.strictObject({ kind: z.string(), identity: z.string(), definition: z.string() })
export type SchemaObject = z.infer<typeof SchemaObject>

/** What a database looked like: schema, rows, sequences, large objects. */
export const Fingerprint = z.strictObject({
  /** SHA-256 over the sorted objects. */
  schema: z.string(),
  objects: z.array(SchemaObject),
  tables: z.record(z.string(), TableRows),
  sequences: z.record(z.string(), z.string()),
  /** oid → SHA-256 of content, owner and ACL are in `objects`. */
  largeObjects: z.record(z.string(), z.string()),
})
export type Fingerprint = z.infer<typeof Fingerprint>

/** Enough to rebuild a lost journal row, and to refuse a backup of another database. */
export const Manifest = z.strictObject({
  format: z.literal(1),
  /** `pre_migration_YYYYMMDD_HHMMSS-s<stage>e<epoch>`. */
  name: z.string(),
  kind: z.enum(['clone', 'dump']),
  project: z.string(),
  environment: z.string(),
  run: z.string(),
  stage: z.int(),
  epoch: z.int(),
  tag: z.string().optional(),
  /** Whether nobody but the run could write while it was taken: only then is it an automatic restore point. */
  gate: z.enum(['closed', 'open']),
  systemIdentifier: z.string(),
  database: z.string(),
  databaseOid: z.string(),
  serverVersion: z.string(),
  /** Where the bytes are: a database name for a clone, a path below the store's root for a dump. */
  location: z.string(),
  bytes: z.string(),
  /** File name → size and SHA-256, for a dump. */
  files: z.record(z.string(), z.strictObject({ bytes: z.int(), sha256: z.string() })),
  /** Statements that give another database these database-level properties; `:new` stands for its quoted name. */
  properties: z.array(z.string()),
  fingerprint: Fingerprint,
  /** Of a clone: how many rows had been written in it when it was made, and since when the server counts. Nobody writes in it. */
  writes: z.strictObject({ count: z.string(), since: z.string() }).optional(),
  ledger: z.array(z.string()),
  /** By kind and name, what the run had found before it touched it. */
  priorStates: z.record(z.string(), z.unknown()),
  /** What a journal that has lost the run opens it from again: its plan, and what people decided. */
  rebuild: z.unknown().optional(),
  takenAt: z.string(),
})
export type Manifest = z.infer<typeof Manifest>

/** One line of `backups list`. */
export interface BackupSummary {
  name: string
  kind: Manifest['kind']
  state: 'valid' | 'damaged' | 'dropped'
  gate: Manifest['gate']
  run: string
  stage: number
  tag?: string
  takenAt: string
  bytes: string
  location: string
}
