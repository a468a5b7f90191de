import { appliedBy } from '../adapters/journal/applied.js'
import { standIn } from '../adapters/migrator/stand-in.js'
import type { Ledger, Migration } from '../domain/migration.js'
import type { Site } from './site.js'

/** Of a whole folder that was formatted anew one line each would say no more. */
const NAMED = 5

/** A version whose file is another one than the run applied. */
interface Edited {
  version: string
  run: string
}

/**
 * Applied versions whose ledger keeps no checksum, and whose files are others than those that the journal's runs applied. A
 * file's bytes say nothing of what they do: it is told, and nothing is refused for it.
 */
export async function editedSince(
  { journal, configuration }: Site,
  migrations: readonly Migration[],
  ledger: Ledger,
  image: string | undefined,
): Promise<Edited[]> {
  const open = new Set(ledger.applied.flatMap((one) => (one.checksum === undefined ? [one.version] : [])))
  const files = migrations.filter(({ version, checksum }) => open.has(version) && checksum !== standIn(version, image))
  if (files.length === 0) return []
  const known = await appliedBy(
    journal,
    configuration,
    files.map(({ version }) => version),
  )
  return files.flatMap(({ version, checksum }) => {
    const then = known.get(version)
    const isSame = then === undefined || then.checksum === checksum || then.checksum === standIn(version, then.image)
    return isSame ? [] : [{ version, run: then.run }]
  })
}

/** In words, one line each. */
export const editedLines = (edited: readonly Edited[]): string[] => [
  ...edited.slice(0, NAMED).map(({ version, run }) => `${version} was edited since run ${run} applied it`),
  ...(edited.length > NAMED ? [`${edited.length - NAMED} more were edited since they were applied`] : []),
]
