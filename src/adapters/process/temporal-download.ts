import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { failure } from '../../domain/failures.js'
import { runInstaller } from './installer.js'

/** The service that the SDK itself asks for its test server. */
const SERVICE = 'https://temporal.download'
/** Where it cannot be reached we have to find out soon: there is another way. */
const ANSWER_WITHIN_MS = 10_000
const DOWNLOAD_WITHIN_MS = 5 * 60_000

const Archive = z.object({ archiveUrl: z.url(), fileToExtract: z.string() })

/** Puts the program `temporal` of a version (`v1.5.1`) into `folder`. Throws `ToolMissing`. */
export async function downloadTemporal(
  cache: string,
  version: string,
  folder: string,
  service = SERVICE,
): Promise<void> {
  const archive = join(folder, 'archive.tar.gz')
  const { archiveUrl, fileToExtract } = Archive.parse(
    await (await get(addressOf(version, service), ANSWER_WITHIN_MS)).json(),
  )
  const { body } = await get(archiveUrl, DOWNLOAD_WITHIN_MS)
  if (body === null) throw failure('ToolMissing', `${archiveUrl} is empty`)
  await pipeline(Readable.fromWeb(body), createWriteStream(archive))
  await runInstaller(cache, ['tar', '-xzf', archive, '-C', folder, fileToExtract])
  await rm(archive)
}

function addressOf(version: string, service: string): URL {
  const url = new URL(`/cli/${version}`, service)
  const platform = process.platform === 'darwin' ? 'darwin' : 'linux'
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
  url.search = new URLSearchParams({ platform, arch, format: 'tar.gz' }).toString()
  return url
}

async function get(url: string | URL, withinMs: number): Promise<Response> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(withinMs) })
    if (response.ok) return response
    throw new Error(`answered ${response.status}`)
  } catch (error) {
    throw failure('ToolMissing', `${new URL(url).host} could not be asked`, error)
  }
}
