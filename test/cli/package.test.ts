import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const Packed = z.array(z.object({ files: z.array(z.object({ path: z.string() })) }))

test('what is installed from a registry has everything that a command, the demo among them, reads', async () => {
  const pack = ['pack', '--dry-run', '--ignore-scripts', '--json']
  const { stdout } = await promisify(execFile)('npm', pack, { cwd: ROOT, maxBuffer: 16 * 1_048_576 })
  const [packed] = Packed.parse(JSON.parse(stdout))
  const files = new Set(packed?.files.map(({ path }) => path))
  for (const path of [
    'bin/headgate.js',
    'dist/cli/index.js',
    'dist/workflow-bundle.js',
    'migrations/0001_journal.sql',
    'examples/shop/headgate.yaml',
    'examples/shop/parts/first-release.mjs',
    'examples/shop/releases/4/migrations/0005_add_channel.sql',
  ])
    expect(files).toContain(path)
  expect([...files].filter((path) => /^(test|src|node_modules)\/|tsbuildinfo/.test(path))).toEqual([])
})

const Locked = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      resolved: z.string().optional(),
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
    }),
  ),
})
const Scripts = z.object({ scripts: z.record(z.string(), z.string()) })
const json = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, name), 'utf8'))
/** Every dependency, by the path it is installed at. */
const locked = Object.entries(Locked.parse(json('package-lock.json')).packages).filter(([path]) => path !== '')

test('nothing of ours is run where it is installed', () => {
  const { scripts } = Scripts.parse(json('package.json'))
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?(install|prepare|uninstall)$/.test(name))).toEqual([])
})

test('every dependency is locked to a version and, those of other platforms apart, to its hash', () => {
  for (const [path, { version, integrity, optional }] of locked) {
    expect(version, path).toMatch(/^\d+\.\d+\.\d+/)
    if (!optional) expect(integrity, path).toMatch(/^sha512-/)
  }
  expect(locked.filter(([, { resolved }]) => resolved && !resolved.startsWith('https://registry.npmjs.org/'))).toEqual(
    [],
  )
})

test('the bill of materials names every package that is installed with it', async () => {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'sbom'], {
    cwd: ROOT,
    maxBuffer: 64 * 1_048_576,
  })
  const Component = z.object({ name: z.string(), version: z.string() })
  const { components } = z.object({ components: z.array(Component) }).parse(JSON.parse(stdout))
  const named = new Set(components.map(({ name, version }) => `${name}@${version}`))
  const installed = locked.filter(([path, { dev }]) => !dev && existsSync(join(ROOT, path)))
  expect(installed.length).toBeGreaterThan(50)
  for (const [path, { version }] of installed)
    expect(named, path).toContain(`${path.replace(/^.*node_modules\//, '')}@${version}`)
})
