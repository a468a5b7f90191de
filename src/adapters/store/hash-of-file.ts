import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Manifest } from '../../domain/manifest.js'

const CHUNK_BYTES = 1_048_576

/** Size and SHA-256 of an open file, read from its start to its end. */
export async function hashOfFile(handle: FileHandle, signal: AbortSignal): Promise<Manifest['files'][string]> {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  for (let bytes = 0; ; ) {
    signal.throwIfAborted()
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, bytes)
    if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') }
    hash.update(chunk.subarray(0, bytesRead))
    bytes += bytesRead
  }
}
