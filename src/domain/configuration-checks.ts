import { z } from 'zod'
import { Command, Duration, Headers, HttpUrl, Text } from './configuration-scalars.js'

const Value = z.union([z.string(), z.number(), z.boolean(), z.null()])
const JsonPath = z.string().regex(/^\$/, 'a JSON path starts with $')
const Within = Duration.prefault('30s').describe('How long it may take, tries included')
const Successes = z.int().min(1).max(100).prefault(1).describe('How many positive answers in a row prove it')

/** What a value must be; each that is written must hold. */
const expectation = {
  expect: Value.optional().describe('What it must be; a text may hold {tag}, {run}, {version}'),
  min: z.number().optional().describe('How small it may be'),
  max: z.number().optional().describe('How large it may be'),
}
export interface Expectation {
  expect?: z.infer<typeof Value> | undefined
  min?: number | undefined
  max?: number | undefined
}

const SqlCheck = z
  .strictObject({
    name: Text.describe('What it proves, for reports'),
    sql: Text.describe('One read-only statement; the first column of its first row is compared'),
    expect: Value.describe('What it must be'),
    timeout: Duration.prefault('30s').describe('How long it may run'),
  })
  .describe('An assertion in SQL')
export type SqlCheck = z.infer<typeof SqlCheck>

const names = (what: string) => z.array(Text).prefault([]).describe(what)
const ExistsCheck = z
  .strictObject({
    name: Text.optional().describe('For reports'),
    tables: names('Tables and views that must be there, as PostgreSQL reads their names'),
    columns: names('Columns: table.column, or schema.table.column'),
    indexes: names('Indexes that must be there, and valid'),
  })
  .refine(({ tables, columns, indexes }) => tables.length + columns.length + indexes.length > 0, 'it names nothing')
  .describe('What must be there')
export type ExistsCheck = z.infer<typeof ExistsCheck>

export const HttpCheck = z
  .strictObject({
    name: Text.optional().describe('For reports; without it the URL'),
    http: HttpUrl.describe('What is asked; it may hold {tag}, {run}, {version}'),
    method: z.enum(['GET', 'POST']).prefault('GET'),
    headers: Headers,
    body: z.unknown().optional().describe('Sent as JSON'),
    expectStatus: z.int().min(100).max(599).prefault(200).describe('The status that proves it'),
    json: JsonPath.optional().describe('Where the value stands in the answer, as a JSON path (RFC 9535)'),
    ...expectation,
    correlation: z.boolean().prefault(false).describe("Sends an X-Correlation-ID of the run's and wants it back"),
    twice: z
      .strictObject({
        url: HttpUrl.describe('GET: what came of it; {correlation} is the id that it was sent with'),
        json: JsonPath.describe('Where the number of effects stands in that answer: it must be 1'),
      })
      .optional()
      .describe('Sent twice, with one X-Correlation-ID and Idempotency-Key, it must have one effect'),
    successes: Successes,
    within: Within,
  })
  .describe('A request')
export type HttpCheck = z.infer<typeof HttpCheck>

const MetricsCheck = z
  .strictObject({
    name: Text.optional().describe('For reports; without it the query'),
    metrics: HttpUrl.describe('Of a Prometheus server, or what answers as one'),
    query: Text.describe('PromQL; its first value counts'),
    headers: Headers,
    ...expectation,
    unlikeBefore: z
      .strictObject({
        times: z.number().min(0).prefault(1).describe('So many times the value from when the run began'),
        plus: z.number().min(0).prefault(0).describe('And so much more'),
      })
      .optional()
      .describe('How much larger it may be than when the run began'),
    successes: Successes,
    within: Within,
  })
  .describe('A query of metrics')
export type MetricsCheck = z.infer<typeof MetricsCheck>

const ReplicasCheck = z
  .strictObject({
    name: Text.optional().describe('For reports'),
    replicaLag: Duration.describe('How far behind each standby may be'),
    count: z.int().min(0).prefault(1).describe('How many must be there at least'),
    within: Within,
  })
  .describe('How far standbys are behind')
export type ReplicasCheck = z.infer<typeof ReplicasCheck>

const SlotsCheck = z
  .strictObject({
    name: Text.optional().describe('For reports'),
    slots: z.array(Text).min(1).describe('Replication slots whose readers must get on'),
    within: Within,
  })
  .describe('Readers of replication slots get on')
export type SlotsCheck = z.infer<typeof SlotsCheck>

const DatabaseErrorsCheck = z
  .strictObject({
    name: Text.optional().describe('For reports'),
    databaseErrors: z
      .strictObject({
        times: z.number().min(0).prefault(1.5).describe('So many times the share from before'),
        plus: z.number().min(0).max(1).prefault(0.01).describe('And so much more: 0.01 is one of a hundred'),
      })
      .describe('How much larger the share of transactions that are rolled back may be than before'),
    transactions: z
      .int()
      .min(1)
      .prefault(100)
      .describe('How many must have ended since the first look, to prove anything'),
    successes: Successes,
    within: Within,
  })
  .describe('Transactions that are rolled back')
export type DatabaseErrorsCheck = z.infer<typeof DatabaseErrorsCheck>

const CommandCheck = z
  .strictObject({
    name: Text.optional().describe('For reports; without it the program'),
    command: Command.describe('Exit 0 proves it; {tag}, {run} and {version} are replaced inside single arguments'),
    clean: Command.optional().describe('Runs after each try, whatever came of it: takes away what the program wrote'),
    within: Within,
  })
  .describe('A program')
export type CommandCheck = z.infer<typeof CommandCheck>

export const VerifyCheck = z.union([SqlCheck, ExistsCheck])
export type VerifyCheck = z.infer<typeof VerifyCheck>

export const SmokeCheck = z.union([
  HttpCheck,
  MetricsCheck,
  ReplicasCheck,
  SlotsCheck,
  DatabaseErrorsCheck,
  CommandCheck,
])
export type SmokeCheck = z.infer<typeof SmokeCheck>
