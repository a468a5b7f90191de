import { z } from 'zod'
import type { ComposeProject } from '../../domain/configuration-compose.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { composeCommand } from './container.js'
import { askEngine, clientEnvironment, isAway, lastLine } from './container-engine.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'

const LOOKED_WITHIN_MS = 30_000
/** Files that want a tag are read with this one where none is meant. */
export const ANY_TAG = 'headgate-any-tag'
/** Of a container that runs another image than its tag names now: the tag that it was deployed as. */
export const TAG_LABEL = 'headgate.tag'

/** A container of a Compose service, as the engine has it. */
export interface ComposeContainer {
  service: string
  /** A frozen one counts as running: it holds its locks. */
  isRunning: boolean
  /** By `docker compose pause`. */
  isFrozen: boolean
  /** Made by `docker compose run`: Compose neither stops nor starts it with its service, nor gives it the service's next image. */
  isByHand: boolean
  /** Healthy, or without a health check. */
  isWell: boolean
  /** What it was made of, by name, and by id. */
  image: string
  imageId: string
  /** `headgate.tag`. */
  tag: string | undefined
  /** The Compose files it was made by. */
  files: string[]
}

const Listed = z.object({ ID: z.string(), Service: z.string(), State: z.string(), Health: z.string().default('') })
const RUNNING = new Set(['running', 'restarting', 'paused'])
const Made = z.object({ Image: z.string(), From: z.string(), Labels: z.record(z.string(), z.string()).nullish() })
const BY_HAND_LABEL = 'com.docker.compose.oneoff'
const MADE = '{"Image":{{json .Image}},"From":{{json .Config.Image}},"Labels":{{json .Config.Labels}}}'

/** The containers of these services, running or not. Throws `ConfigurationInvalid` for a service that the files do not have, `EngineUnreachable`, `ToolMissing`. */
export async function containersOf(
  project: ComposeProject,
  services: readonly string[],
  signal: AbortSignal,
): Promise<ComposeContainer[]> {
  const lines = await linesOf(project, ['ps', '--all', '--format', 'json', ...services], signal)
  const listed = lines.filter((line) => line.startsWith('{')).map((line) => Listed.parse(JSON.parse(line)))
  return Promise.all(
    listed.map(async ({ ID, Service, State, Health }) => {
      const { Image, From, Labels } = await madeOf(project.engine, ID)
      return {
        service: Service,
        isRunning: RUNNING.has(State),
        isFrozen: State === 'paused',
        isByHand: Labels?.[BY_HAND_LABEL] === 'True',
        isWell: State === 'running' && (Health === '' || Health === 'healthy'),
        image: From,
        imageId: Image,
        tag: Labels?.[TAG_LABEL],
        files: (Labels?.['com.docker.compose.project.config_files'] ?? '').split(',').filter(Boolean),
      }
    }),
  )
}

async function madeOf(engine: readonly string[], id: string): Promise<z.infer<typeof Made>> {
  const { exitCode, stdout, stderr } = await askEngine(engine, ['container', 'inspect', '--format', MADE, id])
  if (exitCode === 0) return Made.parse(JSON.parse(stdout))
  throw failure('EngineUnreachable', `container ${id} cannot be looked at: ${lastLine(stderr)}`)
}

/** What Compose prints to a question. Throws as `containersOf`. */
async function linesOf(project: ComposeProject, words: readonly string[], signal: AbortSignal): Promise<string[]> {
  const lines: string[] = []
  const request = requestOf(project, words, { tag: ANY_TAG, timeoutMs: LOOKED_WITHIN_MS })
  const result = await runProgram({ ...request, onAnswer: (line) => lines.push(line) }, signal)
  if (result.exitCode === 0) return lines
  const said = `compose ${words[0]}: ${lastLine(result.stderr)}`
  if (isAway(result)) throw failure('EngineUnreachable', said)
  throw failure('ConfigurationInvalid', said, undefined, hintOf(result.stderr))
}

/** Compose's own words for a variable that its files want and nobody gave: `${NAME:?why}`. */
function hintOf(said: string): { hint: string } | undefined {
  const name = /required variable (\S+) is missing/.exec(said)?.[1]
  return name === undefined
    ? undefined
    : {
        hint: `write tagVariable: ${name}, if it is the release's tag, else name ${name} in env and give it to the worker`,
      }
}

interface Change {
  /** What the files take for `tagVariable`. */
  tag: string
  timeoutMs: number
  secrets?: readonly string[]
}

/** Has Compose change something; its exit code is the caller's to judge. */
export const changeByCompose = (
  project: ComposeProject,
  words: readonly string[],
  change: Change,
  fence: Fence,
): Promise<ProgramResult> => runFenced(requestOf(project, words, change), fence)

const requestOf = (project: ComposeProject, words: readonly string[], { tag, ...request }: Change): RunRequest => ({
  ...request,
  name: `compose ${words[0]}`,
  command: [...composeCommand(project), ...words],
  cwd: project.directory ?? '/',
  env: clientEnvironment(project, tag),
})
