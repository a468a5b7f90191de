import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The folder that holds everything the shop writes, `SHOP_HOME` or what `--home` says; made when missing. */
export function homeOf(option) {
  const folder = option ?? process.env.SHOP_HOME
  if (!folder) throw new Error('set SHOP_HOME to a folder, or give --home')
  const home = resolve(folder)
  mkdirSync(home, { recursive: true, mode: 0o700 })
  return home
}

/** Where each part keeps its file. */
export const paths = (home) => ({
  settings: join(home, 'settings.json'),
  release: join(home, 'release'),
  service: join(home, 'service.json'),
  serviceLog: join(home, 'service.log'),
  topic: join(home, 'topic.jsonl'),
  acknowledged: join(home, 'acknowledged.txt'),
  paused: join(home, 'consumer.paused'),
})

/** The database's URL from the environment: it holds a password, so it never travels as an argument. */
export function databaseUrlFromEnvironment() {
  const url = process.env.SHOP_DATABASE_URL ?? process.env.DATABASE_URL
  if (!url) throw new Error('set SHOP_DATABASE_URL to the database of the shop')
  return url
}

/** What `control.mjs init` wrote: a caller that runs `control.mjs` gives it no environment to speak of. */
export function readSettings(home) {
  const file = paths(home).settings
  if (!existsSync(file)) throw new Error(`${file} is missing: run \`node control.mjs --home ${home} init\` first`)
  return JSON.parse(readFileSync(file, 'utf8'))
}

export const writeSettings = (home, settings) =>
  writeWhole(paths(home).settings, `${JSON.stringify(settings, null, 2)}\n`)

/** Nobody reads half of it, whenever this is killed. Readable by its owner only: it may hold the database's password. */
export function writeWhole(file, text) {
  const partial = `${file}.${process.pid}.partial`
  writeFileSync(partial, text, { mode: 0o600, flush: true })
  renameSync(partial, file)
}
