import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../support/http-server.js'
import { startStandby } from '../../support/standby.js'
import { Company } from './company.js'

let company: Company
let standby: Awaited<ReturnType<typeof startStandby>>

beforeEach(async () => {
  company = await Company.found('compose')
  company.env.API_PORT = String(await freePort())
  standby = await startStandby(company.server.port, 'eu')
  await company.build('bookings:1', async (folder) => {
    for (const name of ['0052_note.py', '0053_by_customer.py']) await rm(join(folder, 'alembic', 'versions', name))
  })
  await company.build('bookings:2')
  await company.build('bookings:3', (folder) => writeFile(join(folder, 'broken'), ''))
  const compose = (...words: string[]): string => company.shell('docker', ['compose', ...words], { IMAGE_TAG: '1' })
  compose('run', '--rm', '--no-deps', 'api', 'alembic', 'upgrade', 'head')
  compose('up', '--detach', '--wait')
  await company.startWorker()
})
afterEach(async () => {
  company.shell('docker', ['compose', 'down', '--timeout', '1'], { IMAGE_TAG: '1' })
  await standby.stop()
  await company.end()
})

/** `npx vitest run --config test/real/vitest.config.ts test/real/examples/compose.real.ts -u` writes its pages anew. */
test('the process of examples/compose goes its whole way, and the way back', async () => {
  await company.readme()
  expect(await company.rows('select version_num from alembic_version')).toEqual([{ version_num: '0053' }])
  const running = company.shell('docker', ['ps', '--format', '{{.Label "com.docker.compose.service"}} {{.Image}}'])
  expect(running.trim().split('\n').sort()).toEqual(['api bookings:2', 'jobs bookings:2'])
  // What was booked before, meanwhile and since is confirmed by jobs that run.
  await company.rows(`insert into bookings (customer) values ('somebody')`)
  while ((await company.rows('select 1 from bookings where not confirmed')).length > 0) await pause(50)
})
