import { join, relative } from 'node:path'
import { endKeptDemo, keptFolder, readKeptDemo } from '../../adapters/process/demo-folder.js'
import type { Terminal } from '../terminal.js'
import { type Ground, HEADGATE } from './ground.js'
import { DATABASE, SHOP, stopServiceOf } from './shop.js'

/** Where a shop has its files, in the folder of a demo. */
export const shopHomeIn = (folder: string): string => join(folder, 'shop')

/** Ends what a demo left up in `home`. False when there is nothing. */
export async function endKept(home: string): Promise<boolean> {
  const kept = await readKeptDemo(home)
  if (!kept) return false
  // The worker goes before the service, so that nobody starts it again.
  await stopServiceOf(shopHomeIn(keptFolder(home)))
  await endKeptDemo(kept)
  return true
}

/** How to look at what was left up. */
export function tellKept({ say }: Terminal, ground: Ground, databases: readonly string[]): void {
  const { folder, postgres, temporal } = ground.servers
  const { port, user, host, directory } = postgres
  say('\nEverything is left up, but for the client:')
  say(`  Temporal   ${temporal.uiUrl}, for clients ${temporal.address}`)
  for (const name of [DATABASE, ...databases.filter((one) => one !== DATABASE)])
    say(`  database   PGPASSWORD=$(cat ${directory}/password) psql -h ${host} -p ${port} -U ${user} ${name}`)
  say(`  shop       ${ground.shop.url}/version; its files, and every acknowledged order: ${ground.shop.home}`)
  say(`  logs       ${folder}/logs`)
  say(`  headgate   cd ${SHOP} && TEMPORAL_ADDRESS=${temporal.address} node ${HEADGATE} status staging`)
  say(`  processes  ${ground.pids.map(({ name, pid }) => `${name} ${pid}`).join(', ')}`)
  say(`To end it: node ${relative(process.cwd(), HEADGATE)} demo --stop`)
}
