import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './run.js'
import { sign } from './ssh-signature.js'

/** The public keys that the SSH agent holds, one line each; none where no agent answers. */
export async function agentKeys(signal: AbortSignal): Promise<string[]> {
  const agent = process.env.SSH_AUTH_SOCK
  if (!agent) return []
  const request = { name: 'ssh-add', command: ['ssh-add', '-L'], env: { SSH_AUTH_SOCK: agent }, timeoutMs: 10_000 }
  const result = await runProgram(request, signal)
  return result.exitCode === 0 ? result.stdout.split('\n').filter((line) => /^(ssh|ecdsa|sk)-/.test(line)) : []
}

/** Signs with the agent's private half of a public key. Throws as `sign`. */
export async function signWithAgent(text: string, publicKey: string, signal: AbortSignal): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-'))
  try {
    const file = join(folder, 'key.pub')
    await writeFile(file, `${publicKey}\n`, { mode: 0o600 })
    return await sign(text, file, signal)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
