import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker } from './containers.js'
import { BASE_IMAGE } from './docker-engine.js'

/** A Compose project in a folder of its own, with images of its own. */
export class ComposeProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'hg-compose-'))
  readonly name = this.folder.split('/').at(-1)?.toLowerCase() ?? ''
  readonly file = join(this.folder, 'compose.yaml')

  /** Services by name; without more they run the image of the tag in `TAG`, in the network of this machine: an engine has few. */
  constructor(services: Record<string, object>) {
    const own = { image: `${this.name}:\${TAG:?no tag}`, network_mode: 'host', init: true, stop_grace_period: '2s' }
    const all = Object.entries(services).map(([name, more]) => [name, { ...own, ...more }])
    // YAML takes JSON.
    writeFileSync(this.file, JSON.stringify({ services: Object.fromEntries(all) }))
  }

  /** Makes the image of a tag; with the same text it is the same one. */
  build(tag: string, text = tag, command = ['sleep', 'infinity']): void {
    const lines = [`FROM ${BASE_IMAGE}`, `RUN echo '${text}' > /release`, `CMD ${JSON.stringify(command)}`]
    const context = mkdtempSync(join(tmpdir(), 'hg-build-'))
    writeFileSync(join(context, 'Dockerfile'), lines.join('\n'))
    docker('build', '--quiet', '--tag', `${this.name}:${tag}`, context)
    rmSync(context, { recursive: true })
  }

  compose(tag: string, ...words: string[]): string {
    const env = { ...process.env, TAG: tag }
    return execFileSync('docker', ['compose', '--progress', 'quiet', '--file', this.file, ...words], {
      env,
      encoding: 'utf8',
      stdio: 'pipe',
    })
  }

  /** What a service's container has in /release; undefined: none runs. */
  runs(service: string): string | undefined {
    const [id] = this.#containers(service)
    return id === undefined ? undefined : docker('exec', id, 'cat', '/release').trim()
  }

  #containers(service: string): string[] {
    const labels = [`label=com.docker.compose.project=${this.name}`, `label=com.docker.compose.service=${service}`]
    const filters = [...labels, 'status=running'].flatMap((filter) => ['--filter', filter])
    return docker('ps', '--quiet', ...filters)
      .split('\n')
      .filter(Boolean)
  }

  end(): void {
    this.compose('none', 'down', '--timeout', '1', '--remove-orphans')
    const images = docker('images', '--quiet', this.name).split('\n').filter(Boolean)
    if (images.length > 0) docker('rmi', '--force', ...new Set(images))
    rmSync(this.folder, { recursive: true, force: true })
  }
}
