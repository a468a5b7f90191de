import { setTimeout as pause } from 'node:timers/promises'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import { ownVariables, variablesLike } from './environment.js'
import { type ProgramResult, type RunRequest, runFenced, runProgram } from './run.js'

const ASKED_WITHIN_MS = 30_000
/** How kubectl finds its cluster, the programs that log it in there, and their proxies. */
const CLIENT = /^(KUBECONFIG|KUBERNETES_[A-Z_]+|(AWS|GOOGLE|CLOUDSDK|AZURE)_[A-Z_]+)$|^(HTTPS?|NO|ALL)_PROXY$/i
/** What is as wrong the next time. Whatever else it says may be over then: a control plane is upgraded, its leader changes. */
const WRONG =
  /\((NotFound|Invalid|BadRequest|MethodNotAllowed|UnsupportedMediaType)\)|does not exist|unknown (flag|command)|invalid configuration|no configuration has been provided/i

/**
 * The object at a path of the API; undefined where there is none, nor such a kind of object. Throws `ConfigurationInvalid` for what is
 * wrong the next time too, `RightsMissing`, `ToolMissing`, and `EngineUnreachable` for whatever else kubectl says.
 */
export async function getObject(cluster: Cluster, path: string, signal: AbortSignal): Promise<unknown> {
  const lines: string[] = []
  const request = requestOf(cluster, ['get', '--raw', path], ASKED_WITHIN_MS)
  const result = await runProgram({ ...request, onAnswer: (line) => lines.push(line) }, signal)
  if (result.exitCode === 0) return JSON.parse(lines.join(''))
  if (/\(NotFound\)/.test(result.stderr)) return undefined
  throw whyNot(cluster, `get ${path}`, result)
}

/**
 * Merges `change` into an object, where it has not changed since `resourceVersion`. Returns false where it has: look again. Throws as
 * `getObject`, and `ConfigurationInvalid` where there is no such object.
 */
export async function patchObject(
  cluster: Cluster,
  object: string,
  change: { resourceVersion: string; type?: 'merge' | 'strategic'; patch: Record<string, unknown> },
  fence: Fence,
): Promise<boolean> {
  const { resourceVersion, type = 'merge', patch } = change
  const { metadata, ...rest } = patch
  const guarded = { ...rest, metadata: { ...(metadata as object | undefined), resourceVersion } }
  const words = ['patch', object, '--type', type, '--output', 'name', '--patch', JSON.stringify(guarded)]
  const result = await runFenced(requestOf(cluster, words, ASKED_WITHIN_MS), fence)
  if (result.exitCode === 0) return true
  if (/\(Conflict\)/.test(result.stderr)) return false
  throw whyNot(cluster, `patch ${object}`, result)
}

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 1_000
/** Somebody else is quicker so often only where he does nothing else. */
const TRIES = 60

/** Tries `change`, which looks anew each time, as often as somebody else comes before it. Throws `EngineUnreachable` where that is always so. */
export async function insist(what: string, signal: AbortSignal, change: () => Promise<boolean>): Promise<void> {
  for (let tries = 0, wait = FIRST_WAIT_MS; tries < TRIES; tries++, wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    if (await change()) return
    await pause(wait * Math.random(), undefined, { signal })
  }
  const text = `${what} was changed by somebody else, each of ${TRIES} times that it was to be changed`
  throw failure('EngineUnreachable', text, undefined, {
    hint: 'find out who changes it all the time: kubectl get --show-managed-fields --output yaml',
  })
}

const requestOf = (cluster: Cluster, words: readonly string[], timeoutMs: number): RunRequest => {
  const { command, context, namespace, env } = cluster
  const where = [...(context === undefined ? [] : ['--context', context]), '--namespace', namespace]
  return {
    name: `kubectl ${words[0]}`,
    command: [...command, ...where, '--request-timeout', `${Math.floor(timeoutMs / 1_500)}s`, ...words],
    cwd: '/',
    env: { ...variablesLike(CLIENT), ...ownVariables(env) },
    timeoutMs,
  }
}

function whyNot({ namespace }: Cluster, what: string, { exitCode, stderr }: ProgramResult): Error {
  const text = `kubectl ${what} in namespace ${namespace}: ${excerpt(stderr.trim() || `exit code ${exitCode}`)}`
  if (/\(Forbidden\)|\(Unauthorized\)/.test(stderr))
    return failure('RightsMissing', text, undefined, {
      hint: "give the worker's account the rights that docs/services.md lists",
    })
  if (WRONG.test(stderr)) return failure('ConfigurationInvalid', text)
  return failure('EngineUnreachable', text, undefined, {
    hint: "see that the worker's host reaches the cluster: `kubectl get --raw /readyz`",
  })
}
