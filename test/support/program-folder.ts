import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface ProgramFolder {
  path: string
  /** Writes an executable script and returns its path. */
  script(name: string, body: string): string
  remove(): void
}

/** A folder for small real programs. */
export function programFolder(): ProgramFolder {
  const path = mkdtempSync(join(tmpdir(), 'headgate-test-'))
  return {
    path,
    script(name, body) {
      const file = join(path, name)
      writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
      return file
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}
