/** What a stage's database is like when nobody carries its run any more. */
export const DATABASE_FOUND = [
  /** Proven equal to before the stage, or the backup of then is in place. */
  'as-before',
  /** The ledger has all of the stage, and nothing half done; for a restore: the backup is in place; for an image: it runs. */
  'at-target',
  /** The ledger has a part of the stage, and the rest left nothing behind. */
  'prefix',
  /** A migration may have left a part of its work. */
  'partial',
  /** Something is different, and the ledger cannot be read. */
  'unread',
] as const
export type DatabaseFound = (typeof DATABASE_FOUND)[number]

/** Where the run was going: on, on its way back, or where a person had sent it. */
export const HEADED = ['forward', 'back', 'by a person'] as const
export type Headed = (typeof HEADED)[number]

/**
 * Which image runs: that of before the stage, or the one it brings. Where the stage brings none they are the same: `before`.
 * `unknown`: another one, or a service does not tell.
 */
export const IMAGE_FOUND = ['before', 'after', 'unknown'] as const
export type ImageFound = (typeof IMAGE_FOUND)[number]

/** What is known of a run that its workflow does not carry any more. */
export interface Stranded {
  database: DatabaseFound
  /** Proven closed until now. */
  gate: 'closed' | 'open'
  /** Proven just now, of a database at its target: ledger, indexes, and the configured checks. */
  verified: boolean
  /** The second point of no return may have been passed. */
  contractStarted: boolean
  image: ImageFound
  /** Whether the stage brings an image. */
  deploysImage: boolean
  /** Whether the stage puts a backup in place: the image of before belongs to what is put aside. */
  restores: boolean
  headed: Headed
  /** Whether there is a valid backup of before the stage, taken behind the closed gate. */
  backup: boolean
}

/** `resume`: let in who was kept out, on the image that runs. `finish`: what is left of the stage. `ask`: nothing is proposed. */
export type RecoveryAction = 'resume' | 'finish' | 'restore' | 'redeploy' | 'accept' | 'ask'

export interface Recovery {
  do: RecoveryAction
  /** Whether it may be done without asking: it lets writers and consumers in where that is proven right, and deploys nothing. */
  automatic: boolean
  why: string
}

/** What should be done with the run, and what it was found to be. */
export interface StrandedRun extends Recovery {
  found: Stranded
  /** The backup of before the stage is in place. */
  isSwapped: boolean
  /** Every step of the stage was done: nobody is kept out by it. */
  isOver: boolean
  /** Consumers that the stage paused are still to be resumed. */
  isPaused: boolean
}

const byItself = (action: 'resume' | 'finish', why: string): Recovery => ({ do: action, automatic: true, why })
const proposed = (action: RecoveryAction, why: string): Recovery => ({ do: action, automatic: false, why })

/** Phase, gate and observation to what should be done with a stranded run: one pure function. It never restores by itself. */
export function recoveryFor(found: Stranded): Recovery {
  switch (found.database) {
    case 'as-before':
      return equalToBefore(found)
    case 'at-target':
      return found.verified ? atTarget(found) : notVerified(found)
    case 'prefix':
      return prefix(found)
    case 'partial':
      return partial(found)
    case 'unread':
      return mayRestore(found)
        ? proposed('restore', 'the ledger cannot be read, and nobody else has written')
        : proposed('ask', 'the ledger cannot be read')
  }
}

function equalToBefore({ image, headed }: Stranded): Recovery {
  switch (image) {
    case 'before': {
      const why = 'the database is proven equal to before the stage, and the image of before runs'
      return headed === 'by a person' ? proposed('accept', why) : byItself('resume', why)
    }
    case 'after':
      return proposed('redeploy', 'the new image runs on the database of before the stage')
    case 'unknown':
      return proposed('ask', 'the database is equal to before the stage, but nobody can tell which image runs')
  }
}

function atTarget({ image, deploysImage, restores, contractStarted, headed }: Stranded): Recovery {
  if (image === 'unknown') return proposed('finish', 'the stage is applied, but nobody can tell which image runs')
  if (image === 'after' || !deploysImage) {
    const why = 'the stage is applied and verified, and its image runs'
    if (headed === 'forward') return byItself('finish', why)
    return headed === 'back' && deploysImage && !contractStarted && !restores
      ? proposed('redeploy', `${why}, but the run was on its way back`)
      : proposed('finish', why)
  }
  if (contractStarted || restores)
    return proposed('finish', 'the stage is applied and verified, and the image of before does not belong to it')
  const why = 'the stage is applied and verified, and the image of before runs on it'
  // Whoever stopped the run may have had a reason not to let the new image out.
  return headed === 'by a person' ? proposed('accept', why) : byItself('resume', why)
}

function notVerified(found: Stranded): Recovery {
  if (mayRestore(found))
    return proposed('restore', 'the stage is applied and not verified, and nobody else has written')
  return proposed('ask', 'the stage is applied, but it does not verify')
}

function prefix(found: Stranded): Recovery {
  if (found.contractStarted) return proposed('finish', 'a part of the contract stage is applied: there is no way back')
  if (mayRestore(found)) return proposed('restore', 'a part of the stage may be applied, and nobody else has written')
  switch (found.image) {
    case 'before':
      return proposed('accept', 'what is applied of the stage can be kept: the image of before runs on it')
    case 'after':
      return proposed('redeploy', 'the stage is not applied as a whole, and the new image runs')
    case 'unknown':
      return proposed('ask', 'the stage is not applied as a whole, and nobody can tell which image runs')
  }
}

function partial(found: Stranded): Recovery {
  if (mayRestore(found)) return proposed('restore', 'a migration is half done, and nobody else has written')
  return proposed(
    'ask',
    found.contractStarted
      ? 'a contract migration may be half done'
      : 'a migration may be half done, and others may have written since the backup',
  )
}

/** Where a restore loses nothing: behind the gate, before the second point of no return. */
const mayRestore = ({ gate, backup, contractStarted }: Stranded): boolean =>
  gate === 'closed' && backup && !contractStarted
