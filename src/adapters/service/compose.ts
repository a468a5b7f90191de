import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServiceConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failedWith, failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { Tag } from '../../domain/names.js'
import { ANY_TAG, type ComposeContainer, changeByCompose, containersOf, TAG_LABEL } from '../process/compose.js'
import { askEngine, idOf, imagesOfServices } from '../process/container-engine.js'
import type { Service, ServiceContext } from './port.js'

const POLL_MS = 100

/**
 * Services of a Compose project that are deployed together, with one tag. What counts is the image that their containers run,
 * by its id: a tag may be moved.
 */
export function compose(
  name: string,
  { services, keepStopped, within, ...project }: Extract<ServiceConfiguration, { kind: 'compose' }>,
  { secrets }: ServiceContext,
): Service {
  const { engine } = project
  /** Without what somebody runs of them by hand: it has an image of its own, and is neither stopped nor started with them. */
  const made = async (which: readonly string[], signal: AbortSignal): Promise<ComposeContainer[]> =>
    (await containersOf(project, which, signal)).filter(({ isByHand }) => !isByHand)
  const containers = (signal: AbortSignal): Promise<ComposeContainer[]> => made(services, signal)
  /** Those that are stopped and started here: never none. */
  const ours = services.filter((service) => !keepStopped.includes(service))
  const containersOfOurs = (signal: AbortSignal): Promise<ComposeContainer[]> => made(ours, signal)
  const failed = (what: string): Error => failure('ServiceFailed', `service ${name}: ${excerpt(what, secrets)}`)
  const change = async (words: string[], tag: string, fence: Fence, files = project.files): Promise<void> => {
    const request = { tag, timeoutMs: within, secrets }
    const { exitCode, stderr } = await changeByCompose({ ...project, files }, words, request, fence)
    if (exitCode !== 0) throw failed(`compose ${words[0]} ended with exit code ${exitCode}: ${stderr}`)
  }
  /** The ids of a tag's images, by service. */
  const idsOf = async (tag: string, which: 'newest' | 'present'): Promise<Map<string, string>> => {
    const images = await imagesOfServices(project, services, tag)
    const ids = new Map<string, string>()
    for (const image of new Set(images.values())) ids.set(image, await idOf(engine, image, which))
    return new Map([...images].map(([service, image]) => [service, ids.get(image) ?? '']))
  }
  /** What each image is called, in two halves around its tag. */
  const halves = async (): Promise<Map<string, [string, string]>> => {
    const images = await imagesOfServices(project, services, ANY_TAG)
    return new Map(
      [...images].map(([service, image]) => {
        const at = image.indexOf(ANY_TAG)
        if (at >= 0) return [service, [image.slice(0, at), image.slice(at + ANY_TAG.length)]]
        throw failure(
          'ConfigurationInvalid',
          `service ${name}: the image of ${service}, ${image}, is the same for each release: let it take its tag from ${project.tagVariable}`,
        )
      }),
    )
  }
  const tagOf = async (all: readonly ComposeContainer[]): Promise<string | undefined> => {
    const names = await halves()
    const tags = new Set(
      all.map(({ service, image, tag }) => {
        const [before, after] = names.get(service) ?? ['', '']
        const isOurs = image.startsWith(before) && image.endsWith(after)
        return tag ?? (isOurs ? image.slice(before.length, image.length - after.length) : undefined)
      }),
    )
    const [one] = tags
    return tags.size === 1 && Tag.safeParse(one).success ? one : undefined
  }
  /** Those of `keepStopped` that do not run now. */
  const keptNow = async (signal: AbortSignal): Promise<string[]> => {
    if (keepStopped.length === 0) return []
    const running = (await made(keepStopped, signal)).filter(({ isRunning }) => isRunning)
    return keepStopped.filter((name) => !running.some(({ service }) => service === name))
  }
  const up = async (tag: string, fence: Fence, files?: string[]): Promise<void> => {
    const stopped = await keptNow(fence.signal)
    const how = ['--no-deps', '--pull', 'never']
    if (stopped.length > 0) await change(['up', '--no-start', ...how, ...stopped], tag, fence, files)
    const wait = ['--wait', '--wait-timeout', String(Math.ceil(within / 1_000))]
    const started = services.filter((service) => !stopped.includes(service))
    await change(['up', '--detach', ...wait, ...how, ...started], tag, fence, files)
  }

  return {
    name,
    canStop: true,
    current: async (signal) => {
      const all = await containers(signal)
      return all.length === 0 ? undefined : tagOf(all)
    },
    currentImage: async (signal) => {
      const all = await containers(signal)
      return all.length === 0 ? undefined : runBy(all)
    },
    imageOf: async (tag, which) => wordOf(await idsOf(tag, which)),
    isRunning: async (signal) => (await containersOfOurs(signal)).some(({ isRunning }) => isRunning),
    exists: async (tag, _signal, image) => {
      if (image !== undefined && (await areHere(engine, idsIn(image)))) return true
      return idsOf(tag, 'present').then(
        () => true,
        (error) => {
          if (failedWith(error, 'ToolMissing')) return false
          throw error
        },
      )
    },
    deploy: async (tag, fence, image) => {
      if (!Tag.safeParse(tag).success) throw failure('InputInvalid', `service ${name}: that is not a tag`)
      fence.signal.throwIfAborted()
      await halves()
      const named = await idsOf(tag, 'present').catch((error: unknown) => {
        if (!failedWith(error, 'ToolMissing')) throw error
        if (image === undefined) throw failed(error instanceof Error ? error.message : '')
        return undefined
      })
      const isMoved = image !== undefined && (named === undefined || wordOf(named) !== image)
      if (isMoved) {
        const files = project.files.length > 0 ? project.files : ((await containers(fence.signal))[0]?.files ?? [])
        if (files.length === 0)
          throw failed(`${tag} is another image by now, and the Compose files are not known: write files`)
        await pinned(tag, idsIn(image), (pin) => up(tag, fence, [...files, pin]))
      } else await up(tag, fence)
      const wanted = image ?? (named && wordOf(named))
      const runs = runBy(await containers(fence.signal))
      if (runs !== wanted) throw failed(`${tag} was deployed, and another image of it runs: ${runs}, not ${wanted}`)
    },
    start: async (fence) => {
      const all = await containers(fence.signal)
      const missing = ours.filter((service) => !all.some((one) => one.service === service))
      if (missing.length > 0) throw failed(`${missing.join(', ')} was never deployed`)
      await change(['start', ...ours], (await tagOf(all)) ?? ANY_TAG, fence)
      const deadline = performance.now() + within
      for (let now = await containersOfOurs(fence.signal); now.some(({ isWell }) => !isWell); ) {
        if (performance.now() > deadline) throw failed('it was started, and does not get well')
        await pause(POLL_MS, undefined, { signal: fence.signal })
        now = await containersOfOurs(fence.signal)
      }
    },
    stop: async (fence) => {
      await change(['stop', ...ours], ANY_TAG, fence)
      const left = (await containersOf(project, ours, fence.signal)).filter(({ isRunning }) => isRunning)
      const names = [...new Set(left.map(({ service }) => service))].join(', ')
      if (left.length > 0)
        throw failed(
          left.every(({ isByHand }) => isByHand)
            ? `${names} is still run by hand (compose run): wait for that, or end it`
            : `${names} still runs after it was stopped`,
        )
    },
  }
}

/** `api=sha256:... jobs=sha256:...` */
const wordOf = (ids: ReadonlyMap<string, string>): string =>
  [...ids]
    .map(([service, id]) => `${service}=${id}`)
    .sort()
    .join(' ')

/** As `wordOf`; containers of one service may run different images. */
function runBy(all: readonly ComposeContainer[]): string {
  const ids = new Map<string, Set<string>>()
  for (const { service, imageId } of all) ids.set(service, (ids.get(service) ?? new Set()).add(imageId))
  return wordOf(new Map([...ids].map(([service, images]) => [service, [...images].sort().join('+')])))
}

const idsIn = (word: string): Map<string, string> =>
  new Map(
    word.split(' ').map((one) => {
      const at = one.indexOf('=')
      return [one.slice(0, at), one.slice(at + 1)]
    }),
  )

async function areHere(engine: readonly string[], ids: ReadonlyMap<string, string>): Promise<boolean> {
  const { exitCode } = await askEngine(engine, [
    'image',
    'inspect',
    '--format',
    '{{.Id}}',
    '--',
    ...new Set(ids.values()),
  ])
  return exitCode === 0
}

/** A Compose file that has these services run exactly these images, for as long as `work` goes on. */
async function pinned(
  tag: string,
  ids: ReadonlyMap<string, string>,
  work: (file: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-compose-'))
  const file = join(folder, 'images.json')
  const entries = [...ids].map(([service, image]) => [service, { image, labels: { [TAG_LABEL]: tag } }])
  try {
    // YAML takes JSON.
    await writeFile(file, JSON.stringify({ services: Object.fromEntries(entries) }))
    await work(file)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
