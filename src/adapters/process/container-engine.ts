import { z } from 'zod'
import type { ComposeProject } from '../../domain/configuration-compose.js'
import { failure } from '../../domain/failures.js'
import { type ContainerSource, composeCommand } from './container.js'
import { ownVariables, variablesLike } from './environment.js'
import { type ProgramResult, runProgram } from './run.js'

const ASKED_WITHIN_MS = 60_000
const PULLED_WITHIN_MS = 20 * 60_000
/** How the client finds its engine, and that its registry. */
const CLIENT =
  /^(DOCKER|CONTAINER|PODMAN|COMPOSE|BUILDKIT|AWS|GOOGLE)_[A-Z_]+$|^(XDG_RUNTIME_DIR|SSH_AUTH_SOCK)$|^(HTTPS?|NO|ALL)_PROXY$/i
/** Of Docker, and of Podman; a registry that does not answer is told of in other words. */
const AWAY = /cannot connect to (the docker|podman)|error during connect|permission denied while trying to connect/i

/** Asks the engine; the exit code is the caller's to judge. Throws `EngineUnreachable` where nobody answers, `ToolMissing` without a client. */
export async function askEngine(
  engine: readonly string[],
  words: readonly string[],
  timeoutMs = ASKED_WITHIN_MS,
): Promise<ProgramResult> {
  const request = { name: `container ${words[0]}`, command: [...engine, ...words], cwd: '/', env: engineEnvironment() }
  const result = await runProgram({ ...request, timeoutMs }, new AbortController().signal)
  if (!isAway(result)) return result
  throw failure('EngineUnreachable', `${engine.join(' ')} ${words[0]}: ${lastLine(result.stderr)}`)
}

/** Whether a client failed because its engine does not answer. */
export const isAway = ({ exitCode, stderr }: ProgramResult): boolean => exitCode !== 0 && AWAY.test(stderr)

const ids = new Map<string, string>()

/** Which engine it is: the same from whatever host it is called. Asked once. Throws as `askEngine`. */
export async function engineIdOf(engine: readonly string[]): Promise<string> {
  const key = JSON.stringify(engine)
  const known = ids.get(key)
  if (known !== undefined) return known
  const { exitCode, stdout, stderr } = await askEngine(engine, ['info', '--format', '{{.ID}}'])
  const id = exitCode === 0 && stdout.trim() !== '' ? stdout.trim() : undefined
  if (id === undefined) throw failure('EngineUnreachable', `${engine.join(' ')} info: ${lastLine(stderr)}`)
  ids.set(key, id)
  return id
}

/**
 * The id of a release's image. `newest` asks its registry first, and takes what is here where that does not answer; `present`
 * pulls only what is not here. Throws `ToolMissing`, `EngineUnreachable`, `ConfigurationInvalid` for an unknown service, and
 * `PlanInvalid` without the tag that it needs.
 */
export async function imageIdOf(source: ContainerSource, tag: string, which: 'newest' | 'present'): Promise<string> {
  const { container } = source
  if ('image' in source) return idOf(container.engine, filledImage(source.image, tag), which)
  const [image = ''] = (await imagesOfServices(container, [source.service], tag)).values()
  return idOf(container.engine, image, which)
}

/** As `imageIdOf`, of an image by its whole name. */
export async function idOf(engine: readonly string[], image: string, which: 'newest' | 'present'): Promise<string> {
  const inspect = () => askEngine(engine, ['image', 'inspect', '--format', '{{.Id}}', '--', image])
  const inspected = await inspect()
  if (inspected.exitCode === 0 && which === 'present') return inspected.stdout.trim()
  const pulled = await askEngine(engine, ['pull', '--quiet', '--', image], PULLED_WITHIN_MS)
  const now = pulled.exitCode === 0 ? await inspect() : inspected
  if (now.exitCode === 0) return now.stdout.trim()
  throw failure('ToolMissing', `there is no image ${image}: ${lastLine(pulled.stderr || now.stderr)}`, undefined, {
    hint: 'build or push it before the release is deployed, and log the worker in to its registry',
  })
}

function filledImage(image: string, tag: string): string {
  if (tag === '' && image.includes('{tag}'))
    throw failure('PlanInvalid', `the migrations are in the image ${image}: without a tag it is not known which`)
  return image.replaceAll('{tag}', tag)
}

const ComposeConfig = z.object({
  name: z.string(),
  services: z.record(z.string(), z.object({ image: z.string().optional() })).default({}),
})

/** What each of these services is made of when the tag is this one. Throws `ConfigurationInvalid` for files or services that are not there. */
export async function imagesOfServices(
  project: ComposeProject,
  wanted: readonly string[],
  tag: string,
): Promise<Map<string, string>> {
  const printed: string[] = []
  // A service that only runs once, by hand, is often in a profile: without it Compose shows none of that.
  const words = ['--profile', '*', 'config', '--format', 'json']
  const request = {
    ...{ name: 'compose config', command: [...composeCommand(project), ...words] },
    ...{ cwd: project.directory ?? '/', env: clientEnvironment(project, tag), timeoutMs: ASKED_WITHIN_MS },
    onAnswer: (line: string): number => printed.push(line),
  }
  const { exitCode, stderr } = await runProgram(request, new AbortController().signal)
  if (exitCode !== 0) throw failure('ConfigurationInvalid', `the Compose files cannot be read: ${lastLine(stderr)}`)
  const { name, services } = ComposeConfig.parse(JSON.parse(printed.join('\n')))
  return new Map(
    wanted.map((one) => {
      const service = services[one]
      if (service) return [one, service.image ?? `${name}-${one}`]
      const known = Object.keys(services).sort().join(', ')
      throw failure('ConfigurationInvalid', `the Compose files have no service ${one}; they have: ${known}`)
    }),
  )
}

/** What the client gets: what leads it to its engine, what the Compose files take, the tag. */
export const clientEnvironment = ({ tagVariable, env }: ComposeProject, tag: string): Record<string, string> => ({
  ...engineEnvironment(),
  ...ownVariables(env),
  ...(tagVariable === undefined ? {} : { [tagVariable]: tag }),
})

const engineEnvironment = (): Record<string, string> => variablesLike(CLIENT)

export const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
