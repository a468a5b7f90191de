import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const folderOf = (tag) => fileURLToPath(new URL(`../releases/${tag}/`, import.meta.url))

/** Whether there is something to deploy under `tag`. */
export const releaseExists = (tag) => TAG.test(tag) && existsSync(`${folderOf(tag)}release.json`)

/**
 * A release as it was built: its migrations, the schema versions its code runs on, and the columns beside those of
 * release 1 that it fills where the table has them.
 */
export function readRelease(tag) {
  if (!releaseExists(tag)) throw new Error(`release ${tag} does not exist`)
  const declared = JSON.parse(readFileSync(`${folderOf(tag)}release.json`, 'utf8'))
  return { tag, ...declared, migrations: migrationsOf(tag).map(({ version }) => version) }
}

/** Its migrations in order, as Headgate's ledger calls them: a file's name without its ending. */
export function migrationsOf(tag) {
  const folder = `${folderOf(tag)}migrations`
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'))
  return names.sort().map((name) => ({ version: name.replace(/\.sql$/, ''), path: `${folder}/${name}` }))
}
