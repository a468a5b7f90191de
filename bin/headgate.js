#!/usr/bin/env node
import { existsSync } from 'node:fs'
import module from 'node:module'

const cli = new URL('../dist/cli/index.js', import.meta.url)

if (existsSync(cli)) {
  // Node 22 and later keep the compiled code between runs.
  module.enableCompileCache?.()
  await import(cli.href)
} else {
  console.error('headgate is not built yet: run `npm ci && npm run build` in its folder')
  process.exitCode = 1
}
