#!/usr/bin/env node
import { migrateFirstRelease } from './parts/first-release.mjs'
import { databaseUrlFromEnvironment } from './parts/settings.mjs'

try {
  const applied = await migrateFirstRelease(databaseUrlFromEnvironment())
  console.log(applied.length > 0 ? `applied ${applied.join(', ')}` : 'release 1 was applied before')
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
