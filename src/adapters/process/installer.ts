import { basename, join } from 'node:path'
import { type FailureDetail, failure } from '../../domain/failures.js'
import { runProgram } from './run.js'

const INSTALL_WITHIN_MS = 20 * 60_000
const ANSWER_WITHIN_MS = 30_000

/** Runs an installer to its end; throws `ToolMissing` with the end of its output and the path of its log, kept in `cache`. */
export async function runInstaller(
  cache: string,
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const name = command
    .slice(0, 3)
    .map((word) => basename(word))
    .join(' ')
  const logDirectory = join(cache, 'logs')
  const request = { name, command, env: { ...ownEnvironment(), ...env }, timeoutMs: INSTALL_WITHIN_MS, logDirectory }
  const { exitCode, stdout, stderr, log } = await runProgram(request, new AbortController().signal)
  if (exitCode === 0) return
  const detail: FailureDetail = { evidence: `${stdout}\n${stderr}`.trim() }
  throw failure('ToolMissing', `${name} failed with exit ${exitCode}${log ? `, see ${log}` : ''}`, undefined, detail)
}

/** What a program prints; undefined when it is not there or fails. */
export async function answerOf(...command: string[]): Promise<string | undefined> {
  const request = { name: command.join(' '), command, env: ownEnvironment(), cwd: '/', timeoutMs: ANSWER_WITHIN_MS }
  try {
    const { exitCode, stdout } = await runProgram(request, new AbortController().signal)
    return exitCode === 0 ? stdout.trim() : undefined
  } catch {
    return undefined
  }
}

/** Whole: proxies, mirrors and certificates are set there. */
function ownEnvironment(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value ? [[name, value]] : [])))
}
