#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { releaseExists } from './parts/releases.mjs'
import { findService, startService, stopService, versionAt } from './parts/service-process.mjs'
import {
  databaseUrlFromEnvironment,
  homeOf,
  paths,
  readSettings,
  writeSettings,
  writeWhole,
} from './parts/settings.mjs'

const USAGE = `control.mjs [--home FOLDER] COMMAND, where COMMAND is one of
  init [--port N]  keeps SHOP_DATABASE_URL and the port for the others
  deploy TAG       stops what runs and starts release TAG
  start, stop      what is deployed
  current          prints the tag that runs now or ran last, or nothing
  exists TAG       exit 0 when release TAG can be deployed, else 1`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { home: { type: 'string' }, port: { type: 'string', default: '8080' } },
})
const [command, tag, ...rest] = positionals
const needsTag = command === 'deploy' || command === 'exists'

const commands = {
  init: () => writeSettings(home(), { databaseUrl: databaseUrlFromEnvironment(), port: Number(values.port) }),
  /** Twice is once: what already serves `tag` is left alone. */
  async deploy() {
    if (!releaseExists(tag)) throw new Error(`release ${tag} does not exist`)
    const settings = readSettings(home())
    if (await isServing(tag, settings)) return
    await stopService(home())
    writeWhole(paths(home()).release, `${tag}\n`)
    await startService(home(), tag, settings)
  },
  async start() {
    const settings = readSettings(home())
    const deployed = current()
    if (!deployed) throw new Error('nothing was deployed yet')
    if (await isServing(deployed, settings)) return
    await stopService(home())
    await startService(home(), deployed, settings)
  },
  stop: () => stopService(home()),
  current: () => current() && console.log(current()),
  exists() {
    process.exitCode = releaseExists(tag) ? 0 : 1
  },
}

const run = Object.hasOwn(commands, command ?? '') ? commands[command] : undefined
if (!run || rest.length > 0 || needsTag !== (tag !== undefined)) {
  console.error(USAGE)
  process.exit(2)
}
try {
  await run()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}

function home() {
  return homeOf(values.home)
}

function current() {
  const file = paths(home()).release
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
}

async function isServing(release, { port }) {
  const service = findService(home())
  return service?.release === release && (await versionAt(port))?.pid === service.pid
}
