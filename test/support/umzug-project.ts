import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FixtureMigration } from '../adapters/migrator/contract.js'

/** Writes a folder of SQL files with exactly these migrations. */
export function writeUmzug(folder: string, migrations: readonly FixtureMigration[]): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const { version, up, down, transactional, phase } of migrations) {
    const directives = [
      ...(phase ? [`-- headgate:phase=${phase}`] : []),
      ...(transactional === false ? ['-- headgate:no-transaction'] : []),
    ]
    writeFileSync(
      join(folder, `${version}${down ? '.up' : ''}.sql`),
      [...directives, ...up.map((sql) => `${sql};`)].join('\n'),
    )
    if (down) writeFileSync(join(folder, `${version}.down.sql`), down)
  }
}
