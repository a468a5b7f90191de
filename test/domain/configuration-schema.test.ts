import { describe, expect, it } from 'vitest'
import {
  configurationJsonSchema,
  environmentJsonSchema,
  type JsonSchema,
} from '../../src/domain/configuration-schema.js'
import { Duration } from '../../src/domain/configuration-scalars.js'

const isSchema = (schema: unknown): schema is JsonSchema => typeof schema === 'object' && schema !== null

function at(schema: JsonSchema, ...path: string[]): JsonSchema {
  return path.reduce<JsonSchema>((found, key) => {
    const next = key === '*' ? found.additionalProperties : found.properties?.[key]
    return isSchema(next) ? next : {}
  }, schema)
}

describe('configurationJsonSchema', () => {
  const schema = configurationJsonSchema()

  it('asks for a name and an environment with its url, and allows nothing unknown', () => {
    expect(schema).toMatchObject({
      title: 'headgate.yaml',
      required: ['name', 'environments'],
      additionalProperties: false,
    })
    expect(at(schema, 'environments', '*')).toMatchObject({ required: ['url'], additionalProperties: false })
  })

  it('describes every block and names every kind', () => {
    for (const [key, block] of Object.entries(schema.properties ?? {})) {
      expect(isSchema(block) && block.description, key).toBeTruthy()
    }
    const migrators = at(schema, 'migrator').anyOf ?? []
    expect(migrators.map((kind) => isSchema(kind) && kind.title)).toEqual(['umzug', 'alembic', 'sqlx', 'command'])
  })

  it('tells defaults as they are written', () => {
    expect(at(schema, 'heartbeat').default).toBe('10s')
    expect(at(schema, 'locks', 'timeout').default).toBe('100ms')
  })

  it('lets an environment complete or remove what the top says', () => {
    const migrator = at(schema, 'environments', '*', 'migrator')
    expect(JSON.stringify(migrator)).not.toContain('"required"')
    expect(migrator.anyOf).toContainEqual({ type: 'null' })
  })
})

describe('environmentJsonSchema', () => {
  it('gives every block a default, but the few that mean something by their absence', () => {
    const blocks = Object.entries(environmentJsonSchema().properties ?? {})
    const without = blocks.filter(([, block]) => isSchema(block) && block.default === undefined).map(([key]) => key)
    expect(without).toEqual(['url', 'protected', 'tools', 'pause', 'queue'])
  })
})

describe('Duration', () => {
  it.each([
    ['90s', 90_000],
    ['3m', 180_000],
    ['12h', 43_200_000],
    ['3d', 259_200_000],
    ['100ms', 100],
  ])('%s is %i milliseconds', (text, milliseconds) => {
    expect(Duration.parse(text)).toBe(milliseconds)
  })
})
