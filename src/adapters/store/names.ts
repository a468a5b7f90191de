import { failure } from '../../domain/failures.js'
import { Name, RunName } from '../../domain/names.js'
import type { BackupPlace } from './port.js'

const BACKUP = /^[a-z][a-z0-9_]{0,79}-s\d{1,4}e\d{1,12}$/
const FILE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9_-]{1,20}){0,3}$/
const PARTIAL = /^(?<name>.+-s(?<stage>\d+)e\d+)\.(?<run>[a-z][a-z0-9-]*)\.partial$/

export const isBackupName = (name: string): boolean => BACKUP.test(name)
export const isFileName = (name: string): boolean => FILE.test(name)

/** The parts of the path. Throws `StateUnexpected` for what is no name: it came from outside, and must not become a path. */
export function segmentsOf(place: BackupPlace): [string, string, string] {
  const isFine = isEnvironment(place) && isBackupName(place.name)
  if (!isFine) throw failure('StateUnexpected', `${JSON.stringify(place.name)} is no name of a backup`)
  return [place.project, place.environment, place.name]
}

export function environmentSegments(place: Pick<BackupPlace, 'project' | 'environment'>): [string, string] {
  if (!isEnvironment(place)) throw failure('StateUnexpected', 'the project or the environment has no usable name')
  return [place.project, place.environment]
}

const isEnvironment = ({ project, environment }: Pick<BackupPlace, 'project' | 'environment'>): boolean =>
  Name.safeParse(project).success && Name.safeParse(environment).success

/** Where an unfinished backup is written: the name tells whose it is. */
export function partialName(name: string, run: string): string {
  if (!RunName.safeParse(run).success) throw failure('StateUnexpected', `${JSON.stringify(run)} is no name of a run`)
  return `${name}.${run}.partial`
}

/** Whether the folder's name says that it is an unfinished backup of this run and stage. */
export function isLeftover(folder: string, run: string, stage: number): boolean {
  const owner = PARTIAL.exec(folder)?.groups
  return owner?.run === run && owner.stage === String(stage)
}
