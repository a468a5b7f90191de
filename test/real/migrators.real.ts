import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe } from 'vitest'
import { createMigrator } from '../../src/adapters/migrator/index.js'
import type { Target } from '../../src/adapters/postgres/target.js'
import { MigratorConfiguration } from '../../src/domain/configuration-migrator.js'
import { type Fixture, type FixtureMigration, migratorContract, PASSWORD } from '../adapters/migrator/contract.js'
import { writeAlembicProject } from '../support/alembic-project.js'
import { HAS_SQLX, SQLX, writeSqlx } from '../support/sqlx-release.js'
import { writeUmzug } from '../support/umzug-project.js'
import { buildImage, docker, imageOf, untilNoContainers } from './containers.js'

const TOOL = join(import.meta.dirname, 'tool.py')
const TAG = 'v1'

interface Shipped {
  kind: string
  label?: string
  knowsFiles: boolean
  write: (folder: string, migrations: FixtureMigration[]) => void
  configuration: object
  /** Of this machine, by their path in the image. */
  files?: Record<string, string>
}

function writeTool(folder: string, migrations: FixtureMigration[]): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'migrations.json'), JSON.stringify(migrations))
}

const tool = (...words: string[]): string[] => ['python3', '/usr/local/bin/tool.py', ...words]
/** It does not see what it ignores. */
const alone = (...words: string[]): string[] => ['env', '-u', 'PGAPPNAME', '-u', 'PGOPTIONS', ...tool(...words)]
const SHIPPED: Shipped[] = [
  { kind: 'umzug', knowsFiles: true, write: writeUmzug, configuration: { dir: '/app' } },
  { kind: 'alembic', knowsFiles: true, write: writeAlembicProject, configuration: {} },
  {
    ...{ kind: 'command', knowsFiles: false, write: writeTool, files: { '/usr/local/bin/tool.py': TOOL } },
    configuration: { status: tool('status'), up: tool('up', '{target}'), down: tool('down', '{target}') },
  },
  {
    ...{ kind: 'command', label: 'command with a driver of its own', knowsFiles: false, write: writeTool },
    files: { '/usr/local/bin/tool.py': TOOL },
    configuration: {
      driver: 'other',
      ...{ status: alone('status'), up: alone('up', '{target}'), down: alone('down', '{target}') },
    },
  },
]
if (HAS_SQLX)
  SHIPPED.push({
    ...{ kind: 'sqlx', knowsFiles: true, write: writeSqlx, files: { '/usr/local/bin/sqlx': SQLX } },
    configuration: { dir: '.' },
  })

/** How a release's image is told of, and what a Compose file needs. */
const WAYS = {
  'docker run': (folder: string) => ({ image: `${imageOf(folder)}:{tag}` }),
  'docker compose run': (folder: string) => {
    const file = join(`${folder}-compose`, 'compose.yaml')
    mkdirSync(`${folder}-compose`, { recursive: true })
    const admin = {
      image: `${imageOf(folder)}:\${TAG}`,
      network_mode: 'host',
      depends_on: ['db'],
      profiles: ['by hand'],
    }
    // YAML takes JSON. What it depends on must not be started (it cannot be), and needs no network: an engine has few.
    writeFileSync(file, JSON.stringify({ services: { admin, db: { image: 'nobody/has-this', network_mode: 'host' } } }))
    return { service: 'admin', container: { files: [file], directory: `${folder}-compose`, tagVariable: 'TAG' } }
  },
}

const shippedBy = (
  { kind, label = kind, knowsFiles, write, configuration, files }: Shipped,
  way: keyof typeof WAYS,
): Fixture => ({
  kind: `${label} by ${way}`.replaceAll(' ', '-'),
  knowsFiles,
  write: (folder, migrations) => {
    write(folder, migrations)
    buildImage(folder, `${imageOf(folder)}:${TAG}`, files)
  },
  create: (folder: string, target: Target) =>
    createMigrator(MigratorConfiguration.parse({ kind, ...configuration, ...WAYS[way](folder) }), {
      ...{ logDirectory: `${folder}-logs`, sources: `${folder}-sources`, secrets: [PASSWORD], target },
    }),
  discard: (folder) => void docker('rmi', '--force', `${imageOf(folder)}:${TAG}`),
})

afterEach(untilNoContainers)

describe.each(SHIPPED)('$kind in the release`s image', (shipped) => {
  migratorContract(shippedBy(shipped, 'docker run'))
  if (shipped.kind === 'alembic') migratorContract(shippedBy(shipped, 'docker compose run'))
})
