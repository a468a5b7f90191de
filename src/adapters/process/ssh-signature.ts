import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SIGNATURE_NAMESPACE } from '../../domain/approval.js'
import { failure } from '../../domain/failures.js'
import { runProgram } from './run.js'

/** A principal is what stands in the first column of an allowed_signers file; it must not look like an option or a pattern. */
const PRINCIPAL = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}$/

/** Checks an SSHSIG over `text` against an allowed_signers file. Never throws for a bad signature; throws `ToolMissing`. */
export async function verifySignature(
  request: { text: string; signature: string; principal: string; allowedSigners: string },
  signal: AbortSignal,
): Promise<{ ok: true } | { ok: false; reason: string }> {
  const { text, signature, principal, allowedSigners } = request
  if (!PRINCIPAL.test(principal))
    return { ok: false, reason: 'the name is not one that could stand in allowed_signers' }
  return inScratch(async (folder) => {
    const file = join(folder, 'statement.sig')
    await writeFile(file, signature, { mode: 0o600 })
    const command = [
      'ssh-keygen',
      '-Y',
      'verify',
      '-f',
      allowedSigners,
      '-I',
      principal,
      '-n',
      SIGNATURE_NAMESPACE,
      '-s',
      file,
    ]
    const result = await runProgram({ name: 'ssh-keygen verify', command, input: text, timeoutMs: 10_000 }, signal)
    if (result.exitCode === 0) return { ok: true }
    return { ok: false, reason: `the signature is not ${principal}'s over this plan, by the worker's allowed signers` }
  })
}

/** Signs `text` with a private key file, or with the agent's key when `key` is a public key file. Throws `ApprovalRefused` with ssh-keygen's words, `ToolMissing`. */
export async function sign(text: string, key: string, signal: AbortSignal): Promise<string> {
  const command = ['ssh-keygen', '-Y', 'sign', '-f', key, '-n', SIGNATURE_NAMESPACE]
  // The agent's socket is all the environment it needs; a passphrase is asked for on the terminal by ssh-askpass or fails.
  const agent = process.env.SSH_AUTH_SOCK
  const env = agent === undefined ? {} : { SSH_AUTH_SOCK: agent }
  const result = await runProgram({ name: 'ssh-keygen sign', command, env, input: text, timeoutMs: 60_000 }, signal)
  if (result.exitCode !== 0)
    throw failure(
      'ApprovalRefused',
      `ssh-keygen could not sign with ${key}: ${result.stderr.trim().split('\n').at(-1) ?? ''}`,
      undefined,
      { hint: 'name a private key that you may read and use' },
    )
  return result.stdout
}

async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
