// Gets what a clone needs before `npm run demo` or `npm test`: `node scripts/setup.mjs demo|test`.
// Runs before node_modules exists: Node's own modules only. A second run does nothing and takes under 2 s.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, utimesSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withLock } from './setup-lock.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const at = (...path) => join(root, ...path)
const { HEADGATE_CACHE, XDG_CACHE_HOME } = process.env
/** As `cacheFolder` in src/adapters/process/install-once.ts has it; here it is needed before that is compiled. */
const cache = HEADGATE_CACHE
  ? resolve(HEADGATE_CACHE)
  : join(XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache'), 'headgate')
const logs = join(cache, 'logs')
const stamp = at('dist', '.built')

async function setUp(purpose) {
  await part('dependencies', 'npm ci', dependenciesAreInstalled(), () => npm('ci', '--no-progress'))
  await part('build', 'npm run build', isBuilt(), build)
  const provision = await import('../dist/adapters/process/provision.js')
  await provide('temporal', (onProgress) => provision.findTemporal(cache, onProgress))
  await provide('postgresql', async (onProgress) => {
    const { version, directory } = await provision.findPostgres(cache, onProgress)
    return `${version} in ${directory}`
  })
  if (purpose !== 'test') return
  await provide('python tools', (onProgress) => provision.findPythonTools(cache, onProgress))
  // It takes Rust, which not everybody has.
  await provide('sqlx', (onProgress) => provision.findSqlx(cache, onProgress)).catch(({ message }) =>
    say('sqlx', `its tests are left out: ${message}`),
  )
}

/** What npm wrote last is at least as new as the lock file. */
function dependenciesAreInstalled() {
  return newest([at('node_modules', '.package-lock.json')]) >= newest([at('package-lock.json')])
}

function isBuilt() {
  const inputs = [
    at('src'),
    at('tsconfig.json'),
    at('tsconfig.build.json'),
    at('package-lock.json'),
    at('scripts', 'bundle-workflows.mjs'),
  ]
  return newest([stamp]) >= newest(inputs)
}

async function build() {
  const started = new Date()
  await npm('run', 'build')
  writeFileSync(stamp, '')
  // A file saved while the build ran is newer than the stamp.
  utimesSync(stamp, started, started)
}

/** When anything in these files and folders last changed, in ms; 0 when there is none. */
function newest(paths) {
  return Math.max(
    0,
    ...paths.map((path) => {
      const found = statSync(path, { throwIfNoEntry: false })
      if (!found?.isDirectory()) return found?.mtimeMs ?? 0
      return Math.max(found.mtimeMs, newest(readdirSync(path).map((name) => join(path, name))))
    }),
  )
}

/** One of our own steps; says nothing when there is nothing to do. */
async function part(name, doing, isDone, work) {
  if (isDone) return
  const started = performance.now()
  say(name, doing)
  await work()
  say(name, `done in ${seconds(started)}`)
}

/** Something found or fetched, and where it is. */
async function provide(name, find) {
  const started = performance.now()
  let worked = false
  const found = await find((doing) => {
    worked = true
    say(name, doing)
  }).catch((error) => {
    throw Object.assign(new Error(error.message), { evidence: evidenceOf(error) })
  })
  say(name, worked ? `${found}, done in ${seconds(started)}` : found)
}

function evidenceOf(error) {
  for (let at = error; at; at = at.cause) {
    const evidence = at.details?.[0]?.evidence
    if (evidence) return evidence.split('\n').slice(-20).join('\n')
  }
  return ''
}

const say = (name, text) => console.log(`${name.padEnd(14)}${text}`)
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

/** Its output goes to a log; the end of it is shown when it fails. */
async function npm(...args) {
  const log = join(logs, `npm-${args.at(-1).replace(/\W/g, '')}-${process.pid}.log`)
  const output = openSync(log, 'w')
  const child = spawn('npm', args, {
    cwd: root,
    stdio: ['ignore', output, output],
    env: { ...process.env, NODE_ENV: '' },
  })
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve))
  closeSync(output)
  if (code === 0) return
  const evidence = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-20).join('\n')
  throw Object.assign(new Error(`npm ${args.join(' ')} ended with exit ${code}, see ${log}`), { evidence })
}

const purpose = process.argv[2]
if (purpose !== 'demo' && purpose !== 'test') {
  console.error('usage: node scripts/setup.mjs demo|test')
  process.exit(1)
}

try {
  mkdirSync(logs, { recursive: true })
  await withLock(join(cache, 'setup.lock'), () => setUp(purpose))
} catch (error) {
  console.error(`\nset-up failed: ${error.message}`)
  if (error.evidence) console.error(error.evidence)
  process.exit(1)
}
