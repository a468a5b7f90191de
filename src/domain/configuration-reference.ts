import {
  alternatives,
  configurationJsonSchema,
  environmentJsonSchema,
  type JsonSchema,
  kindOf,
} from './configuration-schema.js'

const isSchema = (schema: unknown): schema is JsonSchema => typeof schema === 'object' && schema !== null

const INTRODUCTION = `# Configuration

One file, \`headgate.yaml\`, describes a project and its environments. It holds data only: an unknown key is an error that
names its line, its column and the nearest key. \`headgate schema\` prints its JSON Schema for editors, and
\`headgate config production\` prints one environment with every default written out.

The smallest useful file:

\`\`\`yaml
name: shop
environments:
  production:
    url: \${env:PRODUCTION_DATABASE_URL}
\`\`\`

## References, never secrets

Any text may hold references. They are followed where the worker runs, for the one environment that is used, and what
they lead to is blanked out wherever text is shown or stored. A password written out is refused.

| written | means |
|---|---|
| \`\${env:NAME}\` | the environment variable; unset or empty is an error |
| \`\${file:/run/secrets/x}\` | the file without its last line end; a relative path starts at \`headgate.yaml\` |
| \`\${command:["vault","read","x"]}\` | what the program prints, without its last line end; no shell is involved |
| \`$\${\` | \`\${\` itself |

Inside \`{ }\` and \`[ ]\` a reference needs quotes: \`{ url: "\${env:STAGING_DATABASE_URL}" }\`.

## Defaults and overrides

What stands at the top is a default for every environment; an environment overrides it key by key. A block of another
\`kind\` and every list replace what the top says; \`null\` removes it. Relative paths start at \`headgate.yaml\`.
`

const inline = (value: unknown): string =>
  typeof value === 'string' ? `\`${value}\`` : `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return inline(schema.const)
  if (schema.enum !== undefined) return schema.enum.map(inline).join(', ')
  if (schema.pattern?.includes('ms|s|m|h|d')) return 'duration'
  if (schema.format === 'uri') return 'URL'
  if (schema.type === 'string') return 'text'
  if (schema.type === 'integer' || schema.type === 'number') return 'number'
  if (schema.type === 'boolean') return 'true, false'
  if (schema.type === 'array') return isSchema(schema.items) ? `list of ${plural(typeOf(schema.items))}` : 'list'
  return schema.type === 'object' ? 'mapping' : 'any value'
}
const plural = (type: string): string => (type === 'text' ? 'texts' : type === 'mapping' ? 'mappings' : type)

/** One row for each key; keys of a block inside it follow with its name before theirs. */
function rows(schema: JsonSchema, prefix = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    if (!isSchema(property) || (key === 'kind' && property.const !== undefined)) return []
    const isRequired = schema.required?.includes(key) === true
    const byDefault = property.default === undefined ? (isRequired ? 'required' : '') : inline(property.default)
    const about = (property.description ?? '').replaceAll('|', '\\|')
    const row = `| \`${prefix}${key}\` | ${typeOf(property)} | ${byDefault} | ${about} |`
    return [row, ...rows(property, `${prefix}${key}.`)]
  })
}

const table = (schema: JsonSchema): string =>
  ['| key | value | default | |', '|---|---|---|---|', ...rows(schema)].join('\n')

/** A block's own keys, or one table for each kind it can be; `each` where it is a mapping of names or a list. */
function section(key: string, block: JsonSchema): string {
  const each = [block.additionalProperties, block.items].find(isSchema) ?? block
  const written =
    each === block ? '' : block.type === 'array' ? ' A list; each entry:' : ' A mapping by name; each entry:'
  const choices = alternatives(each)
  const parts = (choices.length === 0 ? [each] : choices).map((choice) => {
    const kind = kindOf(choice)
    const kindSchema = choice.properties?.kind
    const about =
      isSchema(kindSchema) && kind !== undefined ? (kindSchema.description ?? '') : (choice.description ?? '')
    if (choice.const !== undefined) return `${inline(choice.const)}: ${about}.`
    if (choice.properties === undefined) return `Value: ${typeOf(choice)}.`
    const head = kind === undefined ? about : `\`kind: ${kind}\`: ${about}`
    return `${head === '' ? '' : `${head}.\n\n`}${table(choice)}`
  })
  const byDefault = block.default === undefined ? '' : ` Default: ${inline(block.default)}.`
  return [`### ${key}`, `${block.description ?? ''}.${byDefault}${written}`, ...parts].join('\n\n')
}

/** The page `docs/configuration.md`: every key with its default, from the schema alone. */
export function configurationReference(): string {
  const top = configurationJsonSchema().properties ?? {}
  const environment = environmentJsonSchema().properties ?? {}
  const environments = isSchema(top.environments) ? top.environments.additionalProperties : undefined
  const own = isSchema(environments) ? (environments.properties ?? {}) : {}
  const blocks = Object.entries(environment).filter(([key]) => Object.hasOwn(top, key))
  const alone = Object.entries(own).filter(([key]) => !Object.hasOwn(top, key))
  const lines = alone.map(([key, at]) => `| \`${key}\` | ${(isSchema(at) && at.description) || ''} |`)
  const sections = blocks.map(([key, block]) => section(key, isSchema(block) ? block : {}))
  return [
    INTRODUCTION,
    '## Only in an environment\n',
    ['| key | |', '|---|---|', ...lines].join('\n'),
    '\n`urls` has the keys `control` (creates and renames databases, ends sessions), `backup` (reads everything) and `verify` (reads only).',
    '\n## At the top, or in an environment\n',
    `${sections.join('\n\n')}\n`,
  ].join('\n')
}
