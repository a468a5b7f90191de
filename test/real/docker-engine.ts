import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { installOnce } from '../../src/adapters/process/install-once.js'
import { runInstaller } from '../../src/adapters/process/installer.js'

const COMPOSE = 'v2.40.3'
const COMPOSE_MODULE = `github.com/docker/compose/v2/cmd@${COMPOSE}`
/** A Debian of its own with what the releases in the tests are made of: nothing can be pulled where there is no registry of images. */
const BASE = ['--variant=minbase', '--include=python3,alembic,python3-psycopg2,postgresql-client', 'bookworm']
export const BASE_IMAGE = 'headgate-test-base'

/** Variables by which the Docker client finds the engine and Compose, and what ends the engine. */
export interface DockerEngine {
  env: { DOCKER_HOST: string; DOCKER_CONFIG: string }
  end: () => Promise<void>
}

/** A Docker engine of the tests' own, with Compose and a base image. Takes root, `dockerd`, `debootstrap` and Go. */
export async function startDocker(cache: string): Promise<DockerEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'hg-docker-'))
  const at = (name: string): string => join(folder, name)
  const env = { DOCKER_HOST: `unix://${at('docker.sock')}`, DOCKER_CONFIG: at('config') }
  const [compose, base] = [await composeIn(cache), await baseIn(cache)]
  await mkdir(join(at('config'), 'cli-plugins'), { recursive: true })
  await symlink(compose, join(at('config'), 'cli-plugins', 'docker-compose'))
  const places = ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')]
  // An image that is not here is asked for in vain, and of nobody outside this machine.
  const nobody = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' }
  const options = { env: nobody, all: true, reject: false, buffer: false } as const
  const daemon = execa('dockerd', ['--host', env.DOCKER_HOST, ...places], options)
  const said: string[] = []
  daemon.all?.on('data', (data) => said.push(String(data)))
  const docker = (...words: string[]) => execa('docker', words, { env, reject: false })
  while ((await docker('version')).exitCode !== 0) {
    if (daemon.exitCode !== null) throw new Error(`dockerd ended: ${said.join('').slice(-2_000)}`)
    await pause(100)
  }
  const imported = await docker('import', base, BASE_IMAGE)
  if (imported.exitCode !== 0) throw new Error(imported.stderr)
  return {
    env,
    end: async () => {
      daemon.kill('SIGTERM')
      await daemon
      // It keeps the namespace of its network mounted.
      await execa('umount', [join(at('exec'), 'netns', 'default')], { reject: false })
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The plugin, built with Go (2 to 6 minutes, once). */
async function composeIn(cache: string): Promise<string> {
  const folder = await installOnce(join(cache, `compose-${COMPOSE}`), async (into) => {
    const inModule = (...words: string[]) => runInstaller(cache, ['go', '-C', into, ...words], { CGO_ENABLED: '0' })
    await inModule('mod', 'init', 'compose')
    await inModule('get', COMPOSE_MODULE)
    await inModule('build', '-o', 'docker-compose', COMPOSE_MODULE.replace(/@.*/, ''))
  })
  return join(folder, 'docker-compose')
}

/** An archive of its file system (1 to 3 minutes, once). */
async function baseIn(cache: string): Promise<string> {
  const folder = await installOnce(join(cache, 'debian-bookworm-tools'), async (into) => {
    await runInstaller(cache, ['debootstrap', ...BASE, join(into, 'root')])
    await runInstaller(cache, ['tar', '-C', join(into, 'root'), '-cf', join(into, 'root.tar'), '.'])
    await runInstaller(cache, ['rm', '-r', join(into, 'root')])
  })
  return join(folder, 'root.tar')
}
