// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in configuration files look like this
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  environmentNames,
  knownSecrets,
  parseConfiguration,
  projectName,
  resolveEnvironment,
} from '../../../src/adapters/configuration/index.js'
import { knownFailure } from '../../../src/domain/failures.js'

const PASSWORD = 'c4nary-Pw'
const WHOLE = `name: shop
migrator: { kind: umzug, dir: "releases/{tag}" }
backup: { kind: auto, to: "file:///srv/backups" }
consumers:
  orders: { kind: http, pause: "http://c/pause", resume: "http://c/resume", status: "http://c/status", within: 5s }
services:
  api: { kind: command, deploy: [deploy, "{tag}"], stop: [stop], start: [start] }
verify:
  - { name: none, sql: "select 1", expect: 1 }
environments:
  staging: { url: "\${env:URL}" }
  production: { url: "\${env:URL}", approval: { allowedSigners: keys } }
`
const ODD = [
  '\0',
  '\t',
  '{',
  '}',
  '[',
  '&a',
  '*a',
  '!!js/function',
  '<<: *a',
  '"',
  ':',
  '- ',
  '\n',
  '\\',
  '%',
  '@',
  '`',
  '# ',
  '? ',
  '---\n',
  '\ud800',
  '🦊',
  '__proto__: ',
  'constructor: ',
  '${env:URL}',
  '${',
  '1e999',
  '0x',
  '~',
  'null',
  ' '.repeat(500),
]

/** The file with some characters taken out, and something odd put in. */
const broken = fc
  .array(fc.tuple(fc.nat(WHOLE.length), fc.nat(12), fc.constantFrom(...ODD)), { minLength: 1, maxLength: 5 })
  .map((edits) => edits.reduce((text, [at, gone, odd]) => text.slice(0, at) + odd + text.slice(at + gone), WHOLE))

/** Reads it as a worker would; what is wrong must be one of the known failures, and say so without a secret. */
async function read(text: string): Promise<void> {
  try {
    const source = parseConfiguration(text, 'headgate.yaml')
    projectName(source)
    for (const environment of environmentNames(source)) {
      const env = { URL: `postgres://ana:${PASSWORD}@db/shop` }
      const runCommand = async (): Promise<string> => PASSWORD
      knownSecrets(await resolveEnvironment(source, environment, { env, runCommand }))
    }
  } catch (error) {
    const known = knownFailure(error)
    expect(known?.code, `${error instanceof Error ? error.stack : error}`).toMatch(
      /^(ConfigurationInvalid|ReferenceMissing)$/,
    )
    expect(JSON.stringify(known)).not.toContain(PASSWORD)
    expect(JSON.stringify(known).length).toBeLessThan(20_000)
  }
}

test('a file that is broken anywhere is read, or is an error that says where', async () => {
  await fc.assert(fc.asyncProperty(broken, read), { numRuns: 600 })
})

test('any text at all is read, or is an error', async () => {
  await fc.assert(fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 400 }), read), { numRuns: 500 })
})

test('any values in place of the ones that are meant are read, or are an error', async () => {
  const file = fc.dictionary(
    fc.constantFrom('name', 'migrator', 'consumers', 'services', 'verify', 'environments', 'backup', 'x'),
    fc.jsonValue({ maxDepth: 4 }),
  )
  await fc.assert(
    fc.asyncProperty(file, (value) => read(JSON.stringify(value))),
    { numRuns: 500 },
  )
})

test.each([
  ['brackets in brackets', '['.repeat(100_000)],
  [
    'aliases of aliases',
    `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghij'
      .split('')
      .map((letter, n) => `${letter}: &${letter} [${Array(9).fill(`*${'abcdefghi'[n]}`).join()}]`)
      .join('\n')}`,
  ],
  ['an alias of itself', 'a: &a [*a]'],
  ['a key of a megabyte', `${'k'.repeat(1_000_000)}: 1`],
  ['a hundred thousand keys', Array.from({ length: 100_000 }, (_, n) => `k${n}: 1`).join('\n')],
  ['quotes without an end', `name: "${'x'.repeat(900_000)}`],
  ['a prototype', '__proto__: { polluted: true }\nname: shop'],
])('%s end soon', async (_, text) => {
  await read(text)
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
})
