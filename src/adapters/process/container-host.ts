import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readlink, rename, rm } from 'node:fs/promises'
import { dirname, join, posix, resolve, sep } from 'node:path'
import { z } from 'zod'
import { failure } from '../../domain/failures.js'
import type { RecordedContainer } from '../../domain/fence.js'
import { clientCommand, type ContainerSource, composeCommand } from './container.js'
import { isThere } from './install-once.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'
import type { ToolHost } from './tool-host.js'

const ASKED_WITHIN_MS = 30_000
const REMOVED_WITHIN_MS = 60_000
const PULLED_WITHIN_MS = 20 * 60_000
/** Of `docker run`: the engine could not do it; the program could not be started; the program is not there. */
const ENGINE_FAILED = 125
const NOT_STARTABLE = 126
const NOT_FOUND = 127
/** How the client finds its engine. */
const CLIENT = /^(DOCKER|CONTAINER|PODMAN|COMPOSE|BUILDKIT)_[A-Z_]+$|^XDG_RUNTIME_DIR$/

/** Containers of a release's image. `sources` is a folder for what is copied out of images: it may be deleted at any time. */
export function containerHost(source: ContainerSource, sources: string): ToolHost {
  const { container } = source
  const inContainer = async (
    tag: string,
    request: RunRequest,
    run: (request: RunRequest, made: RecordedContainer) => Promise<ProgramResult>,
  ): Promise<ProgramResult> => {
    const imageId = await imageOf(source, tag)
    const made = { engine: container.engine, name: `headgate-${randomBytes(6).toString('hex')}` }
    const client = {
      ...request,
      command: clientCommand(source, { name: made.name, request, imageId }),
      ...place(source),
      env: { ...clientEnvironment(source, tag), ...named(container.env), ...request.env },
    }
    let isOver = false
    try {
      const result = await run(client, made)
      if (!('service' in source))
        requireStarted(result, request.command[0] ?? '', source.image.replaceAll('{tag}', tag))
      isOver = result.exitCode === 0
      return result
    } finally {
      // The client is not the container: that one goes on when the client is killed, or has lost its engine.
      if (!isOver) await removeContainer(made)
    }
  }
  return {
    isHere: false,
    run: (tag, request, signal) => inContainer(tag, request, (client) => runProgram(client, signal)),
    runFenced: (tag, request, fence) =>
      inContainer(tag, request, async (client, made) => {
        await fence.recordContainer(made)
        return runFenced(client, fence)
      }),
    folder: async (tag, path) =>
      copied(source, tag, await imageOf(source, tag), path.replaceAll('{tag}', tag), sources),
    stamp: async (tag) => imageOf(source, tag),
    target: (target) => {
      const host = container.host ?? target.host
      if (host.startsWith('/'))
        throw failure(
          'ConfigurationInvalid',
          `the database is reached by a socket in ${host}, which a container does not have: write migrator.container.host`,
        )
      return { ...target, host, port: container.port ?? target.port }
    },
  }
}

/** Ends the container and what runs in it; that there is none is fine. Throws `Unexpected` where the engine does not say that it is gone. */
export async function removeContainer({ engine, name }: RecordedContainer): Promise<void> {
  const request = { name: 'container rm', command: [...engine, 'rm', '--force', '--volumes', name] }
  const { exitCode, stderr } = await ask(request, REMOVED_WITHIN_MS)
  if (exitCode === 0 || /no such container/i.test(stderr)) return
  throw failure('Unexpected', `container ${name} may still run: ${lastLine(stderr)}`)
}

function requireStarted({ exitCode, stderr }: ProgramResult, program: string, image: string): void {
  if (exitCode === ENGINE_FAILED) throw failure('ToolMissing', `no container of image ${image}: ${lastLine(stderr)}`)
  // A program may end so by itself.
  if (
    (exitCode === NOT_STARTABLE || exitCode === NOT_FOUND) &&
    /unable to start container process|OCI runtime/.test(stderr)
  )
    throw failure('ToolMissing', `${program} cannot be run in image ${image}`, undefined, { evidence: stderr })
}

const ComposeConfig = z.object({
  name: z.string(),
  services: z.record(z.string(), z.object({ image: z.string().optional() })).default({}),
})

/** The image's id; pulled where the engine does not have it yet. Throws `ToolMissing`, `ConfigurationInvalid` for an unknown service. */
async function imageOf(source: ContainerSource, tag: string): Promise<string> {
  const image = 'image' in source ? source.image.replaceAll('{tag}', tag) : await imageOfService(source, tag)
  const inspect = () => client(source, tag, ['image', 'inspect', '--format', '{{.Id}}', '--', image], ASKED_WITHIN_MS)
  const found = await inspect()
  if (found.exitCode === 0) return found.stdout.trim()
  const pulled = await client(source, tag, ['pull', '--quiet', '--', image], PULLED_WITHIN_MS)
  const now = pulled.exitCode === 0 ? await inspect() : pulled
  if (now.exitCode === 0) return now.stdout.trim()
  throw failure('ToolMissing', `there is no image ${image}: ${lastLine(now.stderr)}`, undefined, {
    hint: 'build or push it before the release is deployed, and log the worker in to its registry',
  })
}

async function imageOfService(source: ContainerSource & { service: string }, tag: string): Promise<string> {
  const printed: string[] = []
  const request = {
    ...{ name: 'compose config', command: [...composeCommand(source), 'config', '--format', 'json'] },
    ...{ ...place(source), env: clientEnvironment(source, tag) },
    onAnswer: (line: string): number => printed.push(line),
  }
  const { exitCode, stderr } = await ask(request, ASKED_WITHIN_MS)
  if (exitCode !== 0) throw failure('ConfigurationInvalid', `the Compose files cannot be read: ${lastLine(stderr)}`)
  const { name, services } = ComposeConfig.parse(JSON.parse(printed.join('\n')))
  const service = services[source.service]
  if (service) return service.image ?? `${name}-${source.service}`
  const known = Object.keys(services).sort().join(', ')
  throw failure('ConfigurationInvalid', `the Compose files have no service ${source.service}; they have: ${known}`)
}

/** A folder of the image, copied once for each image. */
async function copied(
  source: ContainerSource,
  tag: string,
  imageId: string,
  path: string,
  sources: string,
): Promise<string> {
  const folder = join(
    sources,
    createHash('sha256')
      .update(JSON.stringify([imageId, path]))
      .digest('hex')
      .slice(0, 24),
  )
  if (await isThere(folder)) return folder
  await mkdir(sources, { recursive: true, mode: 0o700 })
  const into = await mkdtemp(`${folder}.`)
  const name = `headgate-${randomBytes(6).toString('hex')}`
  try {
    const home = await must(source, tag, ['image', 'inspect', '--format', '{{.Config.WorkingDir}}', imageId])
    // Never started; an image without a command of its own wants one to be named.
    await must(source, tag, ['create', '--name', name, '--entrypoint', 'none', imageId])
    const from = posix.resolve('/', home.trim(), path)
    const { exitCode, stderr } = await client(
      source,
      tag,
      ['cp', `${name}:${from}`, join(into, 'copy')],
      ASKED_WITHIN_MS,
    )
    if (exitCode !== 0) throw failure('PlanInvalid', `the image of ${tag} has no folder ${from}: ${lastLine(stderr)}`)
    await requireNoWayOut(join(into, 'copy'))
    await rename(join(into, 'copy'), folder).catch(async (error) => {
      if (!(await isThere(folder))) throw error
    })
    return folder
  } finally {
    await removeContainer({ engine: source.container.engine, name })
    await rm(into, { recursive: true, force: true })
  }
}

/** A link in an image may lead anywhere: what it leads to on this machine is nobody's migration. */
async function requireNoWayOut(root: string): Promise<void> {
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const link = join(entry.parentPath, entry.name)
    const to = resolve(dirname(link), await readlink(link))
    if (!to.startsWith(`${root}${sep}`))
      throw failure('PlanInvalid', `${entry.name} in the image is a link that leads out of its folder`)
  }
}

async function must(source: ContainerSource, tag: string, words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await client(source, tag, words, ASKED_WITHIN_MS)
  if (exitCode === 0) return stdout
  throw failure('ToolMissing', `${source.container.engine.join(' ')} ${words[0]} failed: ${lastLine(stderr)}`)
}

const client = (
  source: ContainerSource,
  tag: string,
  words: readonly string[],
  timeoutMs: number,
): Promise<ProgramResult> =>
  ask(
    {
      ...{ name: `container ${words[0]}`, command: [...source.container.engine, ...words] },
      ...{ ...place(source), env: clientEnvironment(source, tag) },
    },
    timeoutMs,
  )

const ask = (request: RunRequest, timeoutMs: number): Promise<ProgramResult> =>
  runProgram({ ...request, env: { ...engineEnvironment(), ...request.env }, timeoutMs }, new AbortController().signal)

/** Where the client runs: Compose looks for its files and variables there. */
const place = ({ container: { directory = '/' } }: ContainerSource): { cwd: string } => ({ cwd: directory })

const clientEnvironment = (
  { container: { tagVariable, env } }: ContainerSource,
  tag: string,
): Record<string, string> => ({
  ...engineEnvironment(),
  ...named(env),
  ...(tagVariable === undefined ? {} : { [tagVariable]: tag }),
})

const engineEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (CLIENT.test(name) && value ? [[name, value]] : [])),
  )

/** Variables of the worker's own. Throws `ReferenceMissing` for one that it does not have. */
const named = (names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.map((name) => {
      const value = process.env[name]
      if (value !== undefined) return [name, value]
      throw failure('ReferenceMissing', `migrator.container.env names ${name}, which the worker does not have`)
    }),
  )

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
