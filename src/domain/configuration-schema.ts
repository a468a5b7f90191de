import { z } from 'zod'
import { ConfigurationFile, EnvironmentConfiguration } from './configuration.js'

export type JsonSchema = z.core.JSONSchema.BaseSchema

const isSchema = (schema: unknown): schema is JsonSchema => typeof schema === 'object' && schema !== null
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a block may be, where it may be several things. */
export const alternatives = (schema: JsonSchema): JsonSchema[] =>
  [...(schema.oneOf ?? schema.anyOf ?? [])].filter(isSchema)

/** What an alternative calls itself: the `kind` it is for. */
export function kindOf(schema: JsonSchema): string | undefined {
  const kind = schema.properties?.kind
  return isSchema(kind) && typeof kind.const === 'string' ? kind.const : undefined
}

/** The alternative that `value` is written as: of its `kind`, else the one that knows most of its keys. */
function alternativeFor(schema: JsonSchema, value: unknown): JsonSchema {
  const choices = alternatives(schema)
  if (choices.length === 0 || !isMap(value)) return schema
  const ofKind = choices.find((choice) => kindOf(choice) !== undefined && kindOf(choice) === value.kind)
  if (ofKind) return ofKind
  const knownTo = (choice: JsonSchema): number => Object.keys(value).filter((key) => choice.properties?.[key]).length
  const [closest] = choices
    .filter((choice) => choice.properties !== undefined && kindOf(choice) === undefined)
    .toSorted((one, other) => knownTo(other) - knownTo(one))
  return closest ?? schema
}

function inside(schema: JsonSchema, key: PropertyKey): JsonSchema | undefined {
  if (typeof key === 'number') return isSchema(schema.items) ? schema.items : undefined
  const found = schema.properties?.[String(key)] ?? schema.additionalProperties
  return isSchema(found) ? found : undefined
}

let environmentSchema: JsonSchema | undefined

/** One environment's schema as it is written in the file: durations as text. Made once: each reading of a configuration asks for it. */
export const environmentJsonSchema = (): JsonSchema => (environmentSchema ??= madeEnvironmentSchema())

function madeEnvironmentSchema(): JsonSchema {
  const schema = z.toJSONSchema(EnvironmentConfiguration, { io: 'input' })
  delete schema.properties?.project
  delete schema.properties?.environment
  return schema
}

/** The keys that may stand at `path` in `value`, for "did you mean". */
export function keysAt(schema: JsonSchema, value: unknown, path: readonly PropertyKey[]): string[] {
  let at: JsonSchema | undefined = alternativeFor(schema, value)
  let here = value
  for (const key of path) {
    here = isMap(here) || Array.isArray(here) ? Reflect.get(here, key) : undefined
    const next: JsonSchema | undefined = at && inside(at, key)
    at = next && alternativeFor(next, here)
  }
  return Object.keys(at?.properties ?? {})
}

/** `value` with every default written out, in the schema's order; what is no default stays as it is written. */
export function withDefaults(schema: JsonSchema, value: unknown): unknown {
  const written = value === undefined ? schema.default : value
  const shape = alternativeFor(schema, written)
  if (Array.isArray(written)) return written.map((item, index) => withDefaults(inside(shape, index) ?? {}, item))
  if (!isMap(written)) return written
  const keys = new Set([...Object.keys(shape.properties ?? {}), ...Object.keys(written)])
  const complete = [...keys].map((key) => [key, withDefaults(inside(shape, key) ?? {}, written[key])] as const)
  return Object.fromEntries(complete.filter(([, filled]) => filled !== undefined))
}

/** Text that may be a reference instead of what its pattern asks for. */
const REFERENCE = { type: 'string', pattern: '\\$\\{(env|file|command):' } as const

const mapped = (properties: NonNullable<JsonSchema['properties']>, each: (schema: JsonSchema) => JsonSchema) =>
  Object.fromEntries(Object.entries(properties).map(([key, at]) => [key, isSchema(at) ? each(at) : at]))

/** Says what editors need: a title for each kind, references where text is expected; with `partial` nothing is required outside lists, as another block may complete it. */
function forEditors(schema: JsonSchema, partial: boolean): JsonSchema {
  const { required, oneOf, anyOf, pattern, format, ...rest } = schema
  const each = (inner: JsonSchema) => forEditors(inner, partial)
  const choices = (oneOf ?? anyOf)?.filter(isSchema).map(each)
  const title = kindOf(schema)
  const form = { ...(pattern === undefined ? {} : { pattern }), ...(format === undefined ? {} : { format }) }
  return {
    ...(title === undefined ? {} : { title }),
    ...rest,
    ...(required === undefined || partial ? {} : { required }),
    ...(choices === undefined ? {} : { anyOf: choices }),
    ...(Object.keys(form).length === 0 ? {} : { anyOf: [form, REFERENCE] }),
    ...(schema.properties === undefined ? {} : { properties: mapped(schema.properties, each) }),
    ...(isSchema(schema.additionalProperties) ? { additionalProperties: each(schema.additionalProperties) } : {}),
    ...(isSchema(schema.items) ? { items: forEditors(schema.items, false) } : {}),
  }
}

/** In an environment `null` removes what the top says. */
function removable(schema: JsonSchema): JsonSchema {
  const { description, default: _, ...rest } = schema
  const entries = isSchema(rest.additionalProperties) ? { additionalProperties: orNull(rest.additionalProperties) } : {}
  return { ...(description === undefined ? {} : { description }), ...orNull({ ...rest, ...entries }) }
}
const orNull = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] })

/** The JSON Schema of `headgate.yaml`, for editors: `headgate schema` prints it. */
export function configurationJsonSchema(): JsonSchema {
  const file = z.toJSONSchema(ConfigurationFile, { io: 'input' })
  const { name = {}, environments, ...settings } = file.properties ?? {}
  const defaults = environmentJsonSchema().properties ?? {}
  const environment = (isSchema(environments) && inside(environments, '')) || {}
  const { url = {}, ...overrides } = environment.properties ?? {}
  const top = mapped(settings, (schema) => forEditors(schema, true))
  for (const [key, schema] of Object.entries(top)) {
    const filled = defaults[key]
    if (isSchema(schema) && isSchema(filled) && filled.default !== undefined) schema.default = filled.default
  }
  const within = { ...environment, properties: { url, ...mapped(overrides, (at) => removable(forEditors(at, true))) } }
  return {
    ...file,
    title: 'headgate.yaml',
    description: 'A project and its environments. Blocks at the top are defaults; an environment overrides them.',
    properties: {
      name,
      ...top,
      environments: { ...(isSchema(environments) ? environments : {}), minProperties: 1, additionalProperties: within },
    },
  }
}
