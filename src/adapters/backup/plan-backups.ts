import type { BackupConfiguration } from '../../domain/configuration.js'
import type { Manifest } from '../../domain/manifest.js'

/** What decides which backups can be taken. `readIdentity` tells most of it. */
export interface BackupFacts {
  isSuperuser: boolean
  canCreateDatabase: boolean
  ownsDatabase: boolean
  preparedTransactions: readonly string[]
  logicalSlots: readonly string[]
  subscriptions: readonly string[]
  sizeBytes: string
  /** Why the gate stays open; undefined where it can be closed. */
  openBecause: string | undefined
  hasStore: boolean
  /** Free for the dump; undefined where it is not known. */
  storeFreeBytes?: bigint
  /** Free on the server's data volume; undefined where it is not known. */
  dataFreeBytes?: bigint
  /** Size of the newest dump. */
  lastDumpBytes?: string
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
  const planned = wanted.map((kind) => ({ kind, reasons: kind === 'clone' ? whyNoClone(facts) : whyNoDump(facts) }))
  return {
    kinds: planned.filter(({ reasons }) => reasons.length === 0).map(({ kind }) => kind),
    reasons: planned.flatMap(({ kind, reasons }) =>
      reasons.length === 0 ? [] : [`no ${kind}: ${reasons.join('; ')}`],
    ),
  }
}

function whyNoClone(facts: BackupFacts): string[] {
  const { preparedTransactions, logicalSlots, subscriptions, openBecause } = facts
  const named = (what: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${what} ${names.join(', ')}`]
  return [
    ...(openBecause === undefined ? [] : [`the gate cannot be closed: ${openBecause}`]),
    ...(facts.canCreateDatabase || facts.isSuperuser ? [] : ['the control role may not create databases']),
    ...(facts.ownsDatabase || facts.isSuperuser ? [] : ['the control role does not own the database']),
    ...named('prepared transactions block it:', preparedTransactions),
    ...named('these logical replication slots would not follow a swap:', logicalSlots),
    ...named('these subscriptions would not follow a swap:', subscriptions),
    ...shortage(facts.dataFreeBytes, bytesNeeded('clone', facts), 'the server`s data volume'),
  ]
}

const whyNoDump = (facts: BackupFacts): string[] =>
  facts.hasStore
    ? shortage(facts.storeFreeBytes, bytesNeeded('dump', facts), 'the store')
    : ['no store is configured (`backup.to`)']

/** Bytes a backup wants free. A clone is as large as the database; a dump 1.3 times the last one, else half the database: without indexes, compressed. */
export function bytesNeeded(
  kind: Manifest['kind'],
  { sizeBytes, lastDumpBytes }: Pick<BackupFacts, 'sizeBytes' | 'lastDumpBytes'>,
): bigint {
  if (kind === 'clone') return (BigInt(sizeBytes) * 11n) / 10n
  return lastDumpBytes === undefined ? BigInt(sizeBytes) / 2n : (BigInt(lastDumpBytes) * 13n) / 10n
}

/** One reason when fewer bytes are free than needed; none where it is not known. */
export const shortage = (free: bigint | undefined, needed: bigint, where: string): string[] =>
  free === undefined || free >= needed ? [] : [`${where} has ${free} bytes free, ${needed} are needed`]
