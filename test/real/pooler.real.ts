import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { openSession } from '../../src/adapters/postgres/session.js'
import { freePort } from '../../src/adapters/process/free-port.js'
import { knownFailure } from '../../src/domain/failures.js'
import { serverTarget } from '../support/test-database.js'

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

/** Runs PgBouncer before the test server while `work` runs. It refuses root: it runs as nobody. */
async function behindPooler(settings: string[], work: (port: number) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hg-pgbouncer-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const { host, port: server } = serverTarget()
  const own = ['listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = any']
  const all = ['[databases]', `* = host=${host} port=${server} user=postgres`, '[pgbouncer]', ...own, ...settings]
  writeFileSync(join(folder, 'pgbouncer.ini'), `${all.join('\n')}\n`)
  const options = { reject: false, all: true } as const
  const pooler = execa('pgbouncer', ['--user', 'nobody', join(folder, 'pgbouncer.ini')], options)
  try {
    while (!(await listens(port))) {
      if (pooler.exitCode !== null) throw new Error((await pooler).all)
      await pause(50)
    }
    await work(port)
  } finally {
    pooler.kill('SIGKILL')
    await pooler
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('a pooler in the way', () => {
  it.each([
    ['that pools transactions and refuses our settings', ['pool_mode = transaction']],
    [
      'that pools transactions and drops our settings',
      ['pool_mode = transaction', 'ignore_startup_parameters = options,extra_float_digits'],
    ],
    [
      'that pools sessions and drops our settings',
      ['pool_mode = session', 'ignore_startup_parameters = options,extra_float_digits'],
    ],
  ])('%s is refused, and named', async (_, settings) => {
    await behindPooler(settings, async (port) => {
      const target = { ...serverTarget(), port }
      const error = await openSession(target, { applicationName: 'hg:00000000:1:test' }).catch((caught) => caught)
      expect(knownFailure(error)).toMatchObject({
        code: 'GuardFailed',
        message: expect.stringMatching(/connect directly, not by a pooler/),
      })
    })
  })
})
