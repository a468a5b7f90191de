import { createHash, randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, mkdtemp, readdir, realpath, rename, rm } from 'node:fs/promises'
import { join, posix, sep } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { failure } from '../../domain/failures.js'
import type { RecordedContainer } from '../../domain/fence.js'
import { clientCommand, type ContainerSource } from './container.js'
import { askEngine, clientEnvironment, engineIdOf, imageIdOf, lastLine } from './container-engine.js'
import { isThere } from './install-once.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'
import type { ImageHost } from './tool-host.js'

const REMOVED_WITHIN_MS = 60_000
const POLL_MS = 100
/** Of `docker run`: the engine could not do it; the program could not be started; the program is not there. */
const ENGINE_FAILED = 125
const NOT_STARTABLE = 126
const NOT_FOUND = 127

/** Containers of a release's image. `sources` is a folder for what is copied out of images: it may be deleted at any time. */
export function containerHost(source: ContainerSource, sources: string): ImageHost {
  const { container } = source
  /** Runs the client; unless its container has ended well, and is gone by itself, that is removed. `left` hears whether it is gone. */
  const inContainer = async (
    tag: string,
    request: RunRequest,
    name: string,
    run: (client: RunRequest) => Promise<ProgramResult>,
    left: (removed: Promise<void>) => Promise<void>,
  ): Promise<ProgramResult> => {
    const imageId = await imageIdOf(source, tag, 'present')
    const client = {
      ...request,
      command: clientCommand(source, { name, request, imageId }),
      cwd: container.directory ?? '/',
      env: { ...clientEnvironment(container, tag), ...request.env },
    }
    let isGone = false
    try {
      const result = await run(client)
      isGone = result.exitCode === 0
      if ('image' in source) requireStarted(result, request.command[0] ?? '', source.image.replaceAll('{tag}', tag))
      return result
    } finally {
      // What it failed of is what counts.
      await left(isGone ? Promise.resolve() : removeContainer({ engine: container.engine, name })).catch(() => {})
    }
  }
  return {
    isHere: false,
    run: (tag, request, signal) =>
      inContainer(
        tag,
        request,
        newName(),
        (client) => runProgram(client, signal),
        (removed) => removed,
      ),
    runFenced: async (tag, request, fence) => {
      const made = { engine: container.engine, engineId: await engineIdOf(container.engine), name: newName() }
      const run = async (client: RunRequest): Promise<ProgramResult> => {
        await fence.recordContainer(made)
        return runFenced(client, fence)
      }
      // The client is not the container, which goes on when that is killed or has lost its engine. What cannot be removed now
      // is still recorded: the next attempt begins with it, and does nothing before it is gone.
      return inContainer(tag, request, made.name, run, (removed) => removed.then(() => fence.forgetContainer(made)))
    },
    folder: async (tag, path) => {
      const imageId = await imageIdOf(source, tag, 'present')
      return copied(source, imageId, path.replaceAll('{tag}', tag), sources)
    },
    image: (tag, which) => imageIdOf(source, tag, which),
    target: (target) => {
      const host = container.host ?? target.host
      if (host.startsWith('/'))
        throw failure(
          'ConfigurationInvalid',
          `the database is reached by a socket in ${host}, which a container does not have: write container.host`,
        )
      return { ...target, host, port: container.port ?? target.port }
    },
  }
}

const newName = (): string => `headgate-${randomBytes(6).toString('hex')}`

/**
 * Ends the container and what runs in it; that there is none is fine. Throws `EngineUnreachable` where the engine does not
 * say that it is gone. May be called twice.
 */
export async function removeContainer({ engine, name }: Pick<RecordedContainer, 'engine' | 'name'>): Promise<void> {
  const deadline = performance.now() + REMOVED_WITHIN_MS
  for (;;) {
    const { exitCode, stderr } = await askEngine(engine, ['rm', '--force', '--volumes', name])
    if (exitCode === 0 || /no such container/i.test(stderr)) return
    // Somebody else is at it, `--rm` for one.
    if (!/already in progress/i.test(stderr) || performance.now() > deadline)
      throw failure('EngineUnreachable', `container ${name} may still run: ${lastLine(stderr)}`)
    await pause(POLL_MS)
  }
}

function requireStarted({ exitCode, stderr }: ProgramResult, program: string, image: string): void {
  if (exitCode === ENGINE_FAILED) throw failure('ToolMissing', `no container of image ${image}: ${lastLine(stderr)}`)
  // A program may end so by itself.
  const isTheEngine = /unable to start container process|OCI runtime/.test(stderr)
  if ((exitCode === NOT_STARTABLE || exitCode === NOT_FOUND) && isTheEngine)
    throw failure('ToolMissing', `${program} cannot be run in image ${image}`, undefined, { evidence: stderr })
}

/** A folder of the image, copied once for each image. Throws `PlanInvalid` where there is none, or something leads out of it. */
async function copied({ container }: ContainerSource, imageId: string, path: string, sources: string): Promise<string> {
  const { engine } = container
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
  const name = newName()
  const must = async (...words: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await askEngine(engine, words)
    if (exitCode === 0) return stdout.trim()
    throw failure('EngineUnreachable', `${engine.join(' ')} ${words[0]} failed: ${lastLine(stderr)}`)
  }
  try {
    const home = await must('image', 'inspect', '--format', '{{.Config.WorkingDir}}', imageId)
    // Never started; an image without a command of its own wants one to be named.
    await must('create', '--name', name, '--entrypoint', 'none', imageId)
    const from = posix.resolve('/', home, path)
    const copy = join(into, 'copy')
    const { exitCode, stderr } = await askEngine(engine, ['cp', `${name}:${from}`, copy])
    if (exitCode !== 0) throw failure('PlanInvalid', `the release's image has no folder ${from}: ${lastLine(stderr)}`)
    await requireNoWayOut(copy, from)
    await rename(copy, folder).catch(async (error) => {
      if (!(await isThere(folder))) throw error
    })
    return folder
  } finally {
    await removeContainer({ engine, name }).catch(() => {})
    await rm(into, { recursive: true, force: true }).catch(() => {})
  }
}

/** A link in an image may lead anywhere: what it leads to on this machine is nobody's migration. Lets us in everywhere, too. */
async function requireNoWayOut(copy: string, from: string): Promise<void> {
  if (!(await lstat(copy)).isDirectory()) throw failure('PlanInvalid', `${from} in the release's image is no folder`)
  const root = await realpath(copy)
  const folders = [copy]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    await chmod(folder, 0o700)
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) folders.push(path)
      if (entry.isDirectory() || entry.isFile()) continue
      const to = await realpath(path).catch(() => '')
      if (!to.startsWith(`${root}${sep}`))
        throw failure('PlanInvalid', `${entry.name} in ${from} of the release's image leads out of that folder`)
    }
  }
}
