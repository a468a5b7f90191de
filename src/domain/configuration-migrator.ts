import { z } from 'zod'
import { composeKeys, TagVariable } from './configuration-compose.js'
import { Command, Table, Text, Variable } from './configuration-scalars.js'

export const ContainerConfiguration = z.strictObject({
  ...composeKeys,
  tagVariable: TagVariable.optional(),
  network: Text.prefault('host').describe('Of image: the network; with host it reaches what the worker reaches'),
  keepEntrypoint: z
    .boolean()
    .prefault(false)
    .describe("Hands the command to the image's own entrypoint; without it the command takes its place"),
  env: composeKeys.env.describe("Variables of the worker's that the tool is given, too"),
  host: Text.optional().describe("The database's address as the container sees it, where it is another one"),
  port: z.int().min(1).max(65_535).optional().describe("The database's port as the container sees it"),
})
export type ContainerConfiguration = z.infer<typeof ContainerConfiguration>

/** Where the release ships its migrations in an image, what stands in paths is a path in there. */
const everyKind = {
  init: Command.optional().describe(
    'Makes the whole schema of the release {tag} in an empty database, for `headgate init-db`, which marks every migration as applied then; without it all of them are applied',
  ),
  driver: z
    .enum(['libpq', 'other'])
    .optional()
    .describe(
      "Of the release's own programs. libpq, and without it: reads PGAPPNAME and PGOPTIONS; other: ignores them (asyncpg, JDBC with assumeMinServerVersion=9.0), and connects by way of a proxy on 127.0.0.1 which sets name and limits of its sessions",
    ),
  image: Text.optional().describe('The migrations are in this image; holds {tag}'),
  service: Text.optional().describe('The migrations are in the image of this Compose service'),
  container: ContainerConfiguration.optional().describe('With image or service: how the container is made'),
}
const UrlVariable = Variable.prefault('DATABASE_URL').describe(
  "The environment variable the tool reads the database's URL from, beside libpq's own PG* variables",
)
const Ledger = (name: string) => Table.prefault(name).describe('The ledger: table or schema.table')

export const MigratorConfiguration = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('umzug').describe('SQL, TypeScript and JavaScript files, applied by Headgate itself'),
    dir: Text.prefault('migrations').describe('Folder of .sql and .ts/.js files; may hold {tag}'),
    table: Ledger('headgate_migrations'),
    ...everyKind,
  }),
  z.strictObject({
    kind: z.literal('alembic').describe('Alembic, called as a program'),
    config: Text.prefault('alembic.ini').describe('alembic.ini; may hold {tag}'),
    command: Command.prefault(['alembic']).describe('How to call it'),
    dir: Text.optional().describe('Folder to run in; may hold {tag}; without it the folder of config'),
    urlVariable: UrlVariable,
    table: Ledger('alembic_version'),
    ...everyKind,
  }),
  z.strictObject({
    kind: z.literal('sqlx').describe('sqlx, called as a program'),
    dir: Text.prefault('migrations').describe("Folder of sqlx's .sql files; may hold {tag}"),
    command: Command.prefault(['sqlx']).describe('How to call it'),
    table: Ledger('_sqlx_migrations'),
    ...everyKind,
  }),
  z.strictObject({
    kind: z.literal('command').describe('Any other tool, through argument arrays'),
    status: Command.describe(
      'Prints JSON: {"migrations":[{"version","name","state":"applied"|"pending","phase"?,"transactional"?,"checksum"?,"sql"?}]}',
    ),
    format: z
      .enum(['json', 'sqlx-info'])
      .prefault('json')
      .describe('Of status; sqlx-info: lines VERSION/installed: name and VERSION/pending: name'),
    up: Command.describe('Applies; with {target} it stops there, without it goes to head'),
    down: Command.optional().describe('Undoes down to {target}, exclusive'),
    dir: Text.optional().describe('Folder to run in; may hold {tag}; without it the folder of headgate.yaml'),
    urlVariable: UrlVariable,
    ...everyKind,
  }),
])
export type MigratorConfiguration = z.infer<typeof MigratorConfiguration>
