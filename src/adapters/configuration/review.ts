import { ConfigurationFile, EnvironmentConfiguration } from '../../domain/configuration.js'
import { environmentJsonSchema, type JsonSchema } from '../../domain/configuration-schema.js'
import { Name } from '../../domain/names.js'
import { crossChecks } from './cross-checks.js'
import { explainIssues, unknownKey, withoutReferences } from './explain-issue.js'
import { merge, withoutNulls } from './merge.js'
import { type Problem, quoted } from './problem.js'
import { literalPasswords } from './secrets.js'
import type { ConfigurationSource } from './source.js'
import { parseTemplate, REFERENCE_FORMS } from './template.js'
import { entryOf, findWritten, isWrittenMap, plainMap, textsIn, type Written, type WrittenMap } from './written.js'

/** The whole file, looked at once: every environment merged, and everything that is wrong with any of them. */
export interface Review {
  project: string
  environments: ReadonlyMap<string, WrittenMap>
  problems: Problem[]
}

const Defaults = ConfigurationFile.omit({ name: true, environments: true })
const Environment = EnvironmentConfiguration.omit({ project: true, environment: true })
const TOP_KEYS = Object.keys(ConfigurationFile.shape)

/** Environments whose name starts so are protected unless `protected` is written. */
export const isProtectedByName = (environment: string): boolean => environment.startsWith('prod')

/** Checks everything that can be checked without following references. */
export function review({ root }: ConfigurationSource): Review {
  const schema = environmentJsonSchema()
  const defaults = withoutNulls(only(root, Object.keys(Defaults.shape)))
  const problems = [...ofFrame(root), ...ofTexts(root), ...ofDefaults(defaults, schema)]
  const environments = new Map<string, WrittenMap>()
  for (const [name, written] of environmentsIn(root)) {
    const environment = withoutNulls(merge(defaults, written))
    environments.set(name, environment)
    problems.push(...ofEnvironment(environment, name, schema))
  }
  const name = entryOf(root, 'name')?.value
  return { project: typeof name === 'string' ? name : '', environments, problems }
}

const only = (map: WrittenMap, keys: readonly string[]): WrittenMap => ({
  ...map,
  value: new Map([...map.value].filter(([key]) => keys.includes(key))),
})

/** The environments as written; one without any entry (`staging:`) is an empty one. */
function environmentsIn(root: WrittenMap): [string, WrittenMap][] {
  const environments = entryOf(root, 'environments')
  return [...(isWrittenMap(environments) ? environments.value : [])].flatMap(([name, written]) => {
    if (written.value === null) return [[name, { ...written, value: new Map() }] as [string, WrittenMap]]
    return isWrittenMap(written) ? [[name, written] as [string, WrittenMap]] : []
  })
}

function ofFrame(root: WrittenMap): Problem[] {
  const unknown = [...root.value.keys()].filter((key) => !TOP_KEYS.includes(key))
  return [...unknown.map((key) => unknownAtTop(key, root)), ...ofName(root), ...ofEnvironments(root)]
}

function unknownAtTop(key: string, root: WrittenMap): Problem {
  if (!Object.hasOwn(Environment.shape, key)) return unknownKey(key, root, TOP_KEYS)
  return {
    at: root.value.get(key)?.key,
    text: `${quoted(key)} cannot stand at the top: it belongs into an environment`,
  }
}

function ofName(root: WrittenMap): Problem[] {
  const name = entryOf(root, 'name')
  if (name === undefined) return [{ at: root.at, text: 'name is missing: it names the project' }]
  const why = whyNoName(name.value)
  return why === undefined ? [] : [{ at: name.at, text: `name is not right: ${why}` }]
}

const whyNoName = (name: Written['value']): string | undefined => {
  const parsed = Name.safeParse(name)
  if (parsed.success) return undefined
  return typeof name === 'string' ? parsed.error.issues[0]?.message : 'it must be text'
}

function ofEnvironments(root: WrittenMap): Problem[] {
  const written = entryOf(root, 'environments')
  if (written === undefined) return [{ at: root.at, text: 'environments is missing: it needs at least one' }]
  if (written.value !== null && !isWrittenMap(written))
    return [{ at: written.at, text: 'environments must be a mapping' }]
  if (!isWrittenMap(written) || written.value.size === 0) {
    return [{ at: written.key, text: 'environments is empty: it needs at least one' }]
  }
  return [...written.value].flatMap(([name, environment]): Problem[] => {
    const why = whyNoName(name)
    const isOther = environment.value !== null && !isWrittenMap(environment)
    return [
      ...(why === undefined
        ? []
        : [{ at: environment.key, text: `the environment ${quoted(name)} is not named right: ${why}` }]),
      ...(isOther ? [{ at: environment.at, text: `${environment.path} must be a mapping` }] : []),
    ]
  })
}

function ofTexts(root: WrittenMap): Problem[] {
  const unreadable = [...textsIn(root)].filter(({ value }) => parseTemplate(value) === undefined)
  const text = `holds a reference that cannot be read: write ${REFERENCE_FORMS}`
  return [...literalPasswords(root), ...unreadable.map(({ path, at }) => ({ at, text: `${path} ${text}` }))]
}

/** A default may be completed by every environment: what it lacks is no problem, what it has must be right. */
function ofDefaults(defaults: WrittenMap, schema: JsonSchema): Problem[] {
  const issues = Defaults.safeParse(plainMap(defaults)).error?.issues ?? []
  const present = issues.filter(({ path }) => findWritten(defaults, path).missing.length === 0)
  return explainIssues(withoutReferences(present, defaults), defaults, schema)
}

function ofEnvironment(environment: WrittenMap, name: string, schema: JsonSchema): Problem[] {
  const value = { protected: isProtectedByName(name), ...plainMap(environment) }
  const issues = Environment.safeParse(value).error?.issues ?? []
  const known = explainIssues(withoutReferences(issues, environment), environment, schema)
  return [...known, ...crossChecks(environment, value.protected === true)]
}
