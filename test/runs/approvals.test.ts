import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkflowUpdateFailedError } from '@temporalio/client'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { programFolder } from '../support/program-folder.js'
import { type SecretWorld, secretWorld } from '../support/secret-world.js'

const MIGRATIONS = {
  '0002_add_note.sql': 'alter table orders add column note text',
  '0003_drop_item.contract.sql': 'alter table orders alter column item drop not null',
}
const ANA = 'ana@example.com'
const BEN = 'ben@example.com'
const DAN = 'dan@example.com'
const HOUR = 3_600_000

const scratch = programFolder()
const keyOf = (name: string): string => join(scratch.path, name)
const run = (command: string, args: string[], input = ''): string =>
  execFileSync(command, args, { input, encoding: 'utf8' })

/** Makes each a key; those named by their address are in the list of allowed signers. */
function keys(): string {
  const lines = [ANA, BEN, DAN, 'eve'].map((name) => {
    run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', keyOf(name)])
    const [type, key] = run('cat', [`${keyOf(name)}.pub`]).split(' ')
    return name.includes('@') ? `${name} namespaces="headgate" ${type} ${key}` : ''
  })
  const file = join(scratch.path, 'allowed_signers')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}
const ALLOWED = keys()

let secret: SecretWorld
afterEach(() => secret.leave())
afterAll(() => scratch.remove())

async function protectedWorld(approval: Record<string, unknown>): Promise<SecretWorld> {
  secret = await secretWorld({
    migrations: MIGRATIONS,
    environment: { protected: true, approval: { allowedSigners: ALLOWED, ...approval } },
  })
  return secret
}

/** Deploys until the approval; returns the plan's digest and the run. */
async function deployed(by: string): Promise<{ digest: string; run: string }> {
  const { world } = secret
  const confirmed = ['--yes', '--confirm-database', world.database.name]
  const answer = await secret.person(by).types('deploy', 'staging', '--tag', '2', ...confirmed)
  expect(answer.exit, answer.text).toBe(3)
  return world.until(({ state }) => state === 'waiting')
}

test('a protected environment wants its database named before anything is started', async () => {
  const { world, person } = await protectedWorld({ from: [BEN] })
  const before = await world.snapshot()
  const ana = person(ANA)
  const unconfirmed = await ana.types('deploy', 'staging', '--tag', '2')
  expect(unconfirmed).toMatchObject({ exit: 1, stdout: '' })
  expect(unconfirmed.stderr).toContain(`staging is protected: add --yes --confirm-database ${world.database.name}`)
  for (const options of [['--yes'], ['--confirm-database', world.database.name], ['--yes', '--confirm-database', 'x']])
    expect(await ana.types('deploy', 'staging', '--tag', '2', ...options)).toMatchObject({ exit: 1, stdout: '' })
  await expect(world.handle.describe()).rejects.toThrow(/not found/)
  expect(differences(before, await world.snapshot())).toEqual([])
})

describe('a contract stage in a protected environment', () => {
  test('is approved by a signature of an approver alone, and every other answer says why', async () => {
    const { world, person } = await protectedWorld({ from: [ANA, BEN] })
    const { digest, run: name } = await deployed(ANA)
    const before = await world.snapshot()
    const statement = {
      project: world.project,
      environment: 'staging',
      run: name,
      stage: 2,
      digest,
      decision: 'approve',
    }
    const later = new Date(Date.now() + HOUR).toISOString()
    const earlier = new Date(Date.now() - HOUR).toISOString()
    const signed = (changes: object, key = BEN, namespace = 'headgate'): string =>
      run(
        'ssh-keygen',
        ['-q', '-Y', 'sign', '-f', keyOf(key), '-n', namespace],
        JSON.stringify({ ...statement, expires: later, ...changes }),
      )
    const tell = async (message: object): Promise<string> =>
      world.handle.executeUpdate<string, [object]>('approve', { args: [{ by: BEN, digest, ...message }] })
    const refusal = (message: object): Promise<string> =>
      tell(message).then(
        (answer) => `accepted: ${answer}`,
        (error: unknown) => (error instanceof WorkflowUpdateFailedError ? (error.cause?.message ?? '') : String(error)),
      )

    expect(await refusal({})).toContain('only signed approvals count here')
    expect(await refusal({ expires: later })).toContain('only signed approvals count here')
    const unlike = `the signature is not ${BEN}'s over this plan`
    expect(await refusal({ expires: later, signature: signed({ digest: '0'.repeat(64) }) })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({ run: 'staging-20200101-000000' }) })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({ stage: 1 }) })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({ decision: 'reject' }) })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({ expires: earlier }) })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({}, BEN, 'git') })).toContain(unlike)
    expect(await refusal({ expires: later, signature: signed({}, 'eve') })).toContain(unlike)
    expect(await refusal({ expires: later, signature: 'no signature' })).toContain(unlike)
    expect(await refusal({ expires: earlier, signature: signed({ expires: earlier }) })).toContain('expired at')
    expect(await refusal({ digest: '0'.repeat(64), expires: later, signature: signed({}) })).toContain('digest is')

    const ben = person(BEN)
    const types = (who: string, key: string) =>
      ben.types('approve', name, '--digest', digest.slice(0, 12), '--by', who, ...(key ? ['--key', keyOf(key)] : []))
    const unsigned = await types(BEN, '')
    expect(unsigned.exit, unsigned.text).toBe(4)
    expect(unsigned.stderr).toContain('only signed approvals count for staging: add --key FILE')
    const stranger = await types(BEN, 'eve')
    expect(stranger.exit).toBe(4)
    expect(stranger.stderr).toContain(unlike)
    const outsider = await types(DAN, DAN)
    expect(outsider.exit).toBe(4)
    expect(outsider.stderr).toContain(`${DAN} is not one of the approvers: ${ANA}, ${BEN}`)
    const own = await types(ANA, ANA)
    expect(own.exit).toBe(4)
    expect(own.stderr).toContain(`${ANA} asked for this run and may not approve it`)

    expect((await world.until(() => true)).state).toBe('waiting')
    expect(differences(before, await world.snapshot())).toEqual([])

    const approved = await types(BEN, BEN)
    expect(approved.exit, approved.text).toBe(0)
    expect(approved.text).toContain('signature verified')
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(await world.journal('select by_whom, verified from {s}.decisions where accepted')).toEqual([
      { by_whom: BEN, verified: true },
    ])
    expect(await world.rows('select version from headgate_migrations')).toHaveLength(3)
    const report = await ben.types('report', name)
    expect(report.stdout).toContain('signature verified')
    expect((await world.leftOvers()).left).toEqual([])
  })

  test('is not approved by who asked for it, where any allowed signer may', async () => {
    const { world, person } = await protectedWorld({})
    const { digest, run: name } = await deployed(ANA)
    const own = await person(ANA).types('approve', name, '--digest', digest.slice(0, 12), '--key', keyOf(ANA))
    expect(own.exit, own.text).toBe(4)
    expect(own.stderr).toContain(`${ANA} asked for this run and may not approve it`)
    const another = await person(DAN).types('approve', name, '--digest', digest.slice(0, 12), '--key', keyOf(DAN))
    expect(another.exit, another.text).toBe(0)
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('where anybody may approve by name', () => {
  const open = async (approval: object): Promise<void> => {
    secret = await secretWorld({ migrations: MIGRATIONS, environment: { approval } })
  }
  const waiting = async (): Promise<{ digest: string; run: string; text: string }> => {
    const answer = await secret.person(ANA).types('deploy', 'staging', '--tag', '2')
    expect(answer.exit, answer.text).toBe(3)
    return { ...(await secret.world.until(({ state }) => state === 'waiting')), text: answer.text }
  }

  test('who asked is refused under that name, by command and by update, and is told what to do; another is not', async () => {
    await open({})
    const { world, person } = secret
    const { digest, run: name, text } = await waiting()
    expect(text).toContain(`wait for approval of 1 contract migration, not by ${ANA}, who asked`)
    const why = `${ANA} asked for this run and may not approve it`
    const own = await person(ANA).types('approve', name, '--digest', digest.slice(0, 12))
    expect(own.exit, own.text).toBe(4)
    expect(own.stderr).toContain(why)
    expect(own.stderr).toContain('do        let somebody else approve it')
    expect(own.stderr).toContain('requesterMayApprove: true')
    const update = world.handle.executeUpdate('approve', { args: [{ by: ` ${ANA.toUpperCase()}`, digest }] })
    await expect(update).rejects.toMatchObject({ cause: { message: expect.stringContaining('asked for this run') } })
    const another = await person(BEN).types('approve', name, '--digest', digest.slice(0, 12))
    expect(another.exit, another.text).toBe(0)
    expect(another.text).toContain('a claim, not verified')
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
  })

  test('who asked may approve where the configuration says so', async () => {
    await open({ requesterMayApprove: true })
    const { digest, text } = await waiting()
    expect(text).not.toContain('who asked')
    await secret.world.handle.executeUpdate('approve', { args: [{ by: ANA, digest }] })
    expect(await secret.world.ending()).toMatchObject({ outcome: 'succeeded' })
  })
})

test('without a list of signers a protected environment is not even begun', async () => {
  secret = await secretWorld({ migrations: MIGRATIONS, environment: { protected: true } })
  const { world, person } = secret
  const before = await world.snapshot()
  const confirmed = ['--yes', '--confirm-database', world.database.name]
  const answer = await person(ANA).types('deploy', 'staging', '--tag', '2', ...confirmed)
  expect(answer.exit, answer.text).toBe(4)
  expect(answer.text).toContain('nobody could approve')
  expect(differences(before, await world.snapshot())).toEqual([])
})
