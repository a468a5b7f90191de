import { createHash } from 'node:crypto'
import { z } from 'zod'
import { failure } from '../../domain/failures.js'
import { Manifest } from '../../domain/manifest.js'

export const MANIFEST_FILE = 'manifest.json'

/** The manifest with a hash of itself: a backup whose journal is lost must not be taken for something else. */
const Envelope = z.strictObject({ sha256: z.string(), manifest: z.record(z.string(), z.unknown()) })

const hashOf = (manifest: unknown): string => createHash('sha256').update(JSON.stringify(manifest)).digest('hex')

/** The bytes of `manifest.json`. */
export function writeManifest(manifest: Manifest): Uint8Array {
  const checked = Manifest.parse(manifest)
  return new TextEncoder().encode(`${JSON.stringify({ sha256: hashOf(checked), manifest: checked })}\n`)
}

/** Throws `BackupDamaged` when it is not what was written; `path` is for the message. */
export function readManifest(text: string, path: string): Manifest {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (error) {
    throw failure('BackupDamaged', `${path} is not JSON`, error)
  }
  const envelope = Envelope.safeParse(content)
  const manifest = Manifest.safeParse(envelope.data?.manifest)
  if (!envelope.success || !manifest.success) throw failure('BackupDamaged', `${path} is no manifest`)
  if (hashOf(envelope.data.manifest) !== envelope.data.sha256) {
    throw failure('BackupDamaged', `${path} was changed: its hash is another one`)
  }
  return manifest.data
}
