import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { BASE_IMAGE } from './docker-engine.js'

/** One call of the client; its standard output. */
export const docker = (...words: string[]): string =>
  // The engine's own builder: a newer client would want a plugin for it.
  execFileSync('docker', words, { env: { ...process.env, DOCKER_BUILDKIT: '0' }, encoding: 'utf8', stdio: 'pipe' })

/** The name of a folder's image, without a tag. */
export const imageOf = (folder: string): string => basename(folder).toLowerCase()

/** Makes a release's image: the folder's content in /app, and `files` of this machine by their path in the image. */
export function buildImage(folder: string, image: string, files: Record<string, string> = {}): void {
  const context = mkdtempSync(join(tmpdir(), 'hg-build-'))
  try {
    mkdirSync(join(context, 'app'))
    cpSync(folder, join(context, 'app'), { recursive: true })
    const copies = Object.entries(files).map(([path, from], index) => {
      cpSync(from, join(context, String(index)))
      return `COPY ${index} ${path}`
    })
    writeFileSync(
      join(context, 'Dockerfile'),
      [`FROM ${BASE_IMAGE}`, ...copies, 'COPY app /app', 'WORKDIR /app'].join('\n'),
    )
    docker('build', '--quiet', '--tag', image, context)
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

/** Names of the containers there are, running or not. */
export const containers = (): string[] => docker('ps', '--all', '--format', '{{.Names}}').split('\n').filter(Boolean)

/** The engine itself removes them, a moment after their end. */
export async function untilNoContainers(): Promise<void> {
  while (containers().length > 0) await pause(50)
}
