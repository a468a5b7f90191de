import { execFile } from 'node:child_process'
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
