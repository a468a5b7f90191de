/** What a stage's database is like when nobody carries its run any more. */
export const DATABASE_FOUND = [
  /** Proven equal to before the stage, or the backup of then was swapped in. */
  'as-before',
  /** The ledger has all of the stage, and nothing half done. */
  'at-target',
  /** The ledger has a part of the stage, and the rest left nothing behind. */
  'prefix',
  /** A migration may have left a part of its work. */
  'partial',
  'unreachable',
] as const
export type DatabaseFound = (typeof DATABASE_FOUND)[number]

/** Which image runs: that of before the stage, or the one it brings. Where the stage brings none they are the same: `before`. */
export const IMAGE_FOUND = ['before', 'after', 'other'] as const
export type ImageFound = (typeof IMAGE_FOUND)[number]

/** What is known of a run that its workflow does not carry any more. */
export interface Stranded {
  /** Whether the stage had come to its first migration, or to its services where it has none. */
  begun: boolean
  /** Proven closed until now. */
  gate: 'closed' | 'open'
  database: DatabaseFound
  /** Proven by the configured checks on the database, and no index was left invalid. */
  verified: boolean
  /** The second point of no return may have been passed. */
  contractStarted: boolean
  image: ImageFound
  /** Whether the stage brings an image. */
  deploysImage: boolean
  /** Whether there is a valid backup of before the stage, taken behind the closed gate. */
  backup: boolean
}

export type RecoveryAction = 'resume' | 'finish' | 'restore' | 'redeploy' | 'accept' | 'ask'

export interface Recovery {
  do: RecoveryAction
  /** Whether it may be done without asking: it lets writers and consumers in where that is proven right, and nothing else. */
  automatic: boolean
  why: string
}

const by = (automatic: boolean, action: RecoveryAction, why: string): Recovery => ({ do: action, automatic, why })
const ask = (why: string): Recovery => by(false, 'ask', why)

/** Phase, gate and observation to what should be done with a stranded run: one pure function. It never restores by itself. */
export function recoveryFor(found: Stranded): Recovery {
  switch (found.database) {
    case 'unreachable':
      return ask('the database cannot be looked at')
    case 'as-before':
      return equalToBefore(found)
    case 'at-target':
      return found.verified ? atTarget(found) : notVerified(found)
    case 'prefix':
      return prefix(found)
    case 'partial':
      return partial(found)
  }
}

function equalToBefore({ image, begun, deploysImage }: Stranded): Recovery {
  if (image === 'before')
    return by(true, 'resume', 'the database is proven equal to before the stage, and so is the image')
  if (!begun) return ask('the stage had not begun, but another image runs than the one of before it')
  return deploysImage && image === 'after'
    ? by(false, 'redeploy', 'the new image runs on the database of before the stage')
    : ask('an image runs that is not the run`s')
}

function atTarget({ image, deploysImage }: Stranded): Recovery {
  if (image === 'after' || (image === 'before' && !deploysImage))
    return by(true, 'finish', 'the stage is applied and verified, and its image runs')
  return by(false, 'finish', 'the stage is applied and verified, its image is not out yet')
}

function notVerified(found: Stranded): Recovery {
  if (mayRestore(found))
    return by(false, 'restore', 'the stage is applied and not verified, and nobody else has written')
  // Behind the gate nobody has asked yet; with it open the answer was no.
  if (found.gate === 'closed')
    return by(false, 'finish', 'the stage is applied, and there is no way back: going on verifies it')
  return ask('the stage is applied, but a check is negative')
}

function prefix(found: Stranded): Recovery {
  if (found.contractStarted) return by(false, 'finish', 'a part of the contract stage is applied: there is no way back')
  if (mayRestore(found)) return by(false, 'restore', 'a part of the stage is applied, and nobody else has written')
  if (found.image === 'before')
    return by(false, 'accept', 'the committed migrations can be kept: the image of before runs on them')
  return found.image === 'after'
    ? by(false, 'redeploy', 'a part of the stage is applied, and the new image runs')
    : ask('a part of the stage is applied, and an image runs that is not the run`s')
}

function partial(found: Stranded): Recovery {
  if (mayRestore(found)) return by(false, 'restore', 'a migration is half done, and nobody else has written')
  return ask(
    found.contractStarted
      ? 'a contract migration may be half done'
      : 'a migration may be half done, and others may have written since the backup',
  )
}

/** Where a restore loses nothing: behind the gate, before the second point of no return. */
const mayRestore = ({ gate, backup, contractStarted }: Stranded): boolean =>
  gate === 'closed' && backup && !contractStarted
