import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { differences, snapshotOf } from '../checker/snapshot.js'
import { FILE_MARK } from '../support/file-mark.js'
import { headgate, startHeadgate } from '../support/command-line.js'
import { freePort } from '../support/http-server.js'
import { startPostgres } from '../support/postgres-server.js'
import { CANARY, reference, withPassword } from '../support/secret-world.js'
import { pgDump } from '../support/server-binaries.js'
import { temporalAddress } from '../support/ground.js'

test('without the right to create the journal the worker is up and not ready, and the run says which SQL to run', async () => {
  const server = await startPostgres()
  const folder = await mkdtemp(join(tmpdir(), 'headgate-first-'))
  const at = (user: string, database: string): string => `postgresql://${user}@127.0.0.1:${server.port}/${database}`
  const asOwner = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: at('postgres', 'postgres') })
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  await asOwner('create role app login')
  await asOwner('create database shop owner app')
  await mkdir(join(folder, 'migrations'))
  await writeFile(join(folder, 'migrations', '0001_orders.sql'), 'create table orders (id int primary key)')
  await writeFile(
    join(folder, 'headgate.yaml'),
    `name: first-${FILE_MARK}\nenvironments:\n  staging: { url: "${reference('SHOP_URL')}" }\n`,
  )
  const health = `127.0.0.1:${await freePort()}`
  const env = { TEMPORAL_ADDRESS: await temporalAddress(), HEADGATE_USER: 'ana' }
  const worker = startHeadgate(['worker', '--health', health], folder, {
    ...env,
    SHOP_URL: withPassword(at('app', 'shop')),
  })
  let seen = ''
  const types = async (...args: string[]) => {
    const answer = await headgate(args, folder, env)
    seen += answer.text
    return answer
  }
  const asks = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`http://${health}${path}`).catch(() => undefined)
    const text = (await response?.text()) ?? ''
    seen += text
    return { status: response?.status ?? 0, text }
  }
  const look = async () => snapshotOf({ url: at('postgres', 'shop'), pgDump: await pgDump() })

  try {
    await expect
      .poll(() => asks('/readyz'), { timeout: 30_000 })
      .toMatchObject({ status: 503, text: expect.stringContaining('journal') })
    expect((await asks('/healthz')).status).toBe(200)
    const before = await look()
    const refused = await types('deploy', 'staging', '--tag', '1')
    expect(refused.exit, refused.text).toBe(1)
    expect(refused.stderr).toContain('error E120')
    const [sql = ''] = /create database "headgate" owner "app";/.exec(refused.stderr) ?? []
    expect(sql, refused.stderr).not.toBe('')
    const doctor = await types('doctor', 'staging')
    expect(doctor.exit).not.toBe(0)
    expect(doctor.text).toContain(sql)
    expect(doctor.text).toContain('  no  journal')
    expect(differences(before, await look())).toEqual([])

    await asOwner(sql)
    await expect.poll(async () => (await asks('/readyz')).status, { timeout: 30_000 }).toBe(200)
    const better = await types('doctor', 'staging')
    expect(better.exit, better.text).toBe(0)
    expect(better.text).not.toContain(sql)
    expect(better.text).toContain('  --  rights                role app may not create databases')
    expect(better.text).toContain('  alter role "app" createdb;')
    await asOwner('alter role app createdb')
    expect((await types('doctor', 'staging')).text).toContain('  grant pg_read_all_stats to "app";')
    await asOwner('grant pg_read_all_stats, pg_signal_backend to app')
    expect((await types('doctor', 'staging')).text).not.toContain('grant')
    const deployed = await types('deploy', 'staging', '--tag', '1')
    expect(deployed.exit, deployed.text).toBe(0)
    expect(Object.keys(await look())).toContain('rows of public.orders')
    expect(seen + worker.text()).not.toContain(CANARY)
    expect(seen + worker.text()).not.toContain(encodeURIComponent(CANARY))
  } finally {
    await worker.stop()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
})
