import { size } from '../../domain/amounts.js'
import type { BackupConfiguration } from '../../domain/configuration.js'
import type { Manifest } from '../../domain/manifest.js'

/** What decides which backups can be taken. */
export interface BackupFacts {
  sizeBytes: string
  /** Why the gate stays open, so that there is no moment to clone; undefined where it can be closed. */
  openBecause: string | undefined
  /** Free for the dump; undefined where it is not known. */
  storeFreeBytes?: bigint
}

export interface PlannedBackups {
  /** In the order they are taken. */
  kinds: Manifest['kind'][]
  /** Why a kind that was wanted is not planned. */
  reasons: string[]
}

/** Which backups a stage takes, and why not the others. `kinds` is empty where none is wanted, or none is possible. */
export function planBackups(configuration: BackupConfiguration, facts: BackupFacts): PlannedBackups {
  if (configuration === false) return { kinds: [], reasons: ['no backup: the configuration says so'] }
  const wanted: Manifest['kind'][] = configuration.kind === 'auto' ? ['clone', 'dump'] : [configuration.kind]
  const planned = wanted.map((kind) => ({ kind, reason: kind === 'clone' ? whyNoClone(facts) : whyNoDump(facts) }))
  return {
    kinds: planned.filter(({ reason }) => reason === undefined).map(({ kind }) => kind),
    reasons: planned.flatMap(({ kind, reason }) => (reason === undefined ? [] : [`no ${kind}: ${reason}`])),
  }
}

const whyNoClone = ({ openBecause }: BackupFacts): string | undefined =>
  openBecause === undefined ? undefined : `the gate stays open: ${openBecause}`

/** A dump has no indexes and is compressed: half the database is more than it takes. */
function whyNoDump({ sizeBytes, storeFreeBytes }: BackupFacts): string | undefined {
  const needed = BigInt(sizeBytes) / 2n
  if (storeFreeBytes === undefined || storeFreeBytes >= needed) return undefined
  return `the store has ${size(Number(storeFreeBytes))} free, up to ${size(Number(needed))} are needed`
}
