import { isAbsolute, resolve } from 'node:path'
import { EnvironmentConfiguration } from '../../domain/configuration.js'
import { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { environmentJsonSchema, withDefaults } from '../../domain/configuration-schema.js'
import { nearest } from '../../domain/text.js'
import { explainIssues } from './explain-issue.js'
import { problemsFailure, quoted } from './problem.js'
import { type ReferenceSources, type Resolved, resolveReferences } from './references.js'
import { isProtectedByName, type Review, review } from './review.js'
import { rememberSecrets } from './secrets.js'
import type { ConfigurationSource } from './source.js'
import { holdsReference } from './template.js'
import { isPlainMap, type PlainMap, plainMap, type Written, type WrittenMap } from './written.js'

/** The project's name. Throws `ConfigurationInvalid` with everything that is wrong in the file. */
export const projectName = (source: ConfigurationSource): string => reviewed(source).project

/** The environments, in the order of the file. Throws as `projectName`. */
export const environmentNames = (source: ConfigurationSource): string[] => [...reviewed(source).environments.keys()]

/** One environment with every default written out and references as they are written: safe to print. Throws `ConfigurationInvalid` or `EnvironmentUnknown`. */
export function describeEnvironment(source: ConfigurationSource, environment: string): PlainMap {
  const { project, written } = chosen(source, environment)
  return complete({ project, environment, source, value: plainMap(written) })
}

/** The queues of its services on other hosts, as they are written. Throws as `describeEnvironment`. */
export function serviceQueues(source: ConfigurationSource, environment: string): string[] {
  const { services } = describeEnvironment(source, environment)
  const all = isPlainMap(services) ? Object.values(services) : []
  return all.flatMap((service) => (isPlainMap(service) && typeof service.queue === 'string' ? service.queue : []))
}

/** Where references lead; `cwd` is the file's folder unless given. */
export type ResolveOptions = Omit<ReferenceSources, 'cwd'> & { cwd?: string | undefined }

/** One environment, ready for use: it holds secrets and is frozen. Throws `ConfigurationInvalid`, `EnvironmentUnknown` or `ReferenceMissing`, each with all that is wrong. */
export async function resolveEnvironment(
  source: ConfigurationSource,
  environment: string,
  options: ResolveOptions,
): Promise<EnvironmentConfiguration> {
  const { project, written } = chosen(source, environment)
  const { value, secrets } = await followed(source, written, options)
  const parsed = EnvironmentConfiguration.safeParse(complete({ project, environment, source, value }))
  if (!parsed.success) {
    const wrong = explainIssues(parsed.error.issues, written, environmentJsonSchema())
    throw problemsFailure('ConfigurationInvalid', source.file, wrong)
  }
  const configuration = frozen(parsed.data)
  rememberSecrets(configuration, secrets)
  return configuration
}

/** The migrator of one environment alone, whatever its other references lead to. Throws as `resolveEnvironment`. */
export async function resolveMigrator(
  source: ConfigurationSource,
  environment: string,
  options: ResolveOptions,
): Promise<MigratorConfiguration> {
  const { project, written } = chosen(source, environment)
  const block = written.value.get('migrator')
  const value = block ? { migrator: (await followed(source, block, options)).value } : {}
  const { migrator } = complete({ project, environment, source, value })
  return MigratorConfiguration.parse(migrator)
}

/** What the references in `written` lead to. Throws `ReferenceMissing` with all that lead nowhere. */
async function followed(
  source: ConfigurationSource,
  written: Written,
  options: ResolveOptions,
): Promise<Omit<Resolved, 'problems'>> {
  const { problems, ...found } = await resolveReferences(written, { ...options, cwd: options.cwd ?? source.folder })
  if (problems.length > 0) throw problemsFailure('ReferenceMissing', source.file, problems)
  return found
}

/** By source: the whole file is looked at for each of its environments. */
const reviews = new WeakMap<ConfigurationSource, Review>()

function reviewed(source: ConfigurationSource): Omit<Review, 'problems'> {
  const found = reviews.get(source) ?? review(source)
  reviews.set(source, found)
  const { problems, ...rest } = found
  if (problems.length > 0) throw problemsFailure('ConfigurationInvalid', source.file, problems)
  return rest
}

function chosen(source: ConfigurationSource, environment: string): { project: string; written: WrittenMap } {
  const { project, environments } = reviewed(source)
  const written = environments.get(environment)
  if (written !== undefined) return { project, written }
  const meant = nearest(environment, environments.keys())
  const hint = meant ? `, did you mean ${quoted(meant)}?` : ''
  const text = `unknown environment ${quoted(environment)}${hint} (known: ${[...environments.keys()].join(', ')})`
  throw problemsFailure('EnvironmentUnknown', source.file, [{ text }])
}

interface Incomplete {
  project: string
  environment: string
  source: ConfigurationSource
  value: unknown
}

/** Defaults written out, paths absolute. */
function complete({ project, environment, source, value }: Incomplete): PlainMap {
  const own = { protected: isProtectedByName(environment), ...(isPlainMap(value) ? value : {}) }
  const filled = withDefaults(environmentJsonSchema(), own)
  return { project, environment, ...(isPlainMap(filled) ? withAbsolutePaths(filled, source.folder) : {}) }
}

/** Relative paths start at the file, wherever the worker was started. */
function withAbsolutePaths(environment: PlainMap, folder: string): PlainMap {
  const absolute = (path: unknown): unknown =>
    typeof path !== 'string' || isAbsolute(path) || holdsReference(path) ? path : resolve(folder, path)
  const located = (block: PlainMap, keys: readonly string[]): PlainMap => {
    const paths = keys.filter((key) => block[key] !== undefined).map((key) => [key, absolute(block[key])] as const)
    return { ...block, ...Object.fromEntries(paths) }
  }
  const migratorOf = (block: unknown): unknown => {
    if (!isPlainMap(block)) return block
    if (block.image === undefined && block.service === undefined)
      return located(block.kind === 'command' ? { dir: folder, ...block } : block, ['dir', 'config'])
    // Its other paths are paths in the image.
    return inContainer(block)
  }
  const composed = (written: PlainMap): PlainMap => {
    const files = Array.isArray(written.files) ? { files: written.files.map(absolute) } : {}
    return { ...located({ directory: folder, ...written }, ['directory']), ...files }
  }
  const ofKinds = (blocks: unknown): unknown =>
    isPlainMap(blocks)
      ? Object.fromEntries(
          Object.entries(blocks).map(([name, block]) => [
            name,
            isPlainMap(block) && block.kind === 'compose' ? composed(block) : block,
          ]),
        )
      : blocks
  const inContainer = (block: PlainMap): PlainMap => ({
    ...block,
    container: composed(isPlainMap(block.container) ? block.container : {}),
  })
  const { migrator, approval, consumers, services, tools } = environment
  return {
    ...environment,
    migrator: migratorOf(migrator),
    ...(isPlainMap(tools) ? { tools: inContainer(tools) } : {}),
    ...(consumers === undefined ? {} : { consumers: ofKinds(consumers) }),
    ...(services === undefined ? {} : { services: ofKinds(services) }),
    approval: isPlainMap(approval) ? located(approval, ['allowedSigners']) : approval,
  }
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(frozen)
  return value
}
