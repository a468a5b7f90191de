import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../support/http-server.js'
import { AT, type Jenkins, startJenkins, TOKEN } from '../../support/jenkins.js'
import { BASE_IMAGE } from '../docker-engine.js'
import { Company } from './company.js'

const FAILS = `
from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade():
    op.execute("alter table bookings add column seats int")
    op.execute("update bookings set seats = 1 / 0")


def downgrade():
    op.drop_column("bookings", "seats")
`

let company: Company
let jenkins: Jenkins
/** In the folder, as the pipeline's user. */
const ccat = (...words: string[]): string => company.shell('./ccat', words)

beforeEach(async () => {
  company = await Company.found('jenkins')
  jenkins = await startJenkins()
  // The build that calls Headgate.
  jenkins.running = 1
  const port = await freePort()
  Object.assign(company.env, {
    ...{ API_URL: `http://127.0.0.1:${port}`, ENV_FOR_DYNACONF: 'staging', DEV_DATABASE_URL: company.url('ops_dev') },
    ...{ JENKINS_URL: jenkins.server.url, JENKINS_TOKEN: TOKEN },
  })
  await writeFile(join(company.folder, '.env'), `API_PORT=${port}\nDATABASE_URL=${company.env.DATABASE_URL}\n`)
  await company.build('ops-db:1', (folder) => rm(join(folder, 'alembic/versions/0052_note.py')))
  await company.build('ops-db:2')
  await company.build('ops-db:3', (folder) => writeFile(join(folder, 'alembic/versions/0053_seats.py'), FAILS))
  company.shell('docker', ['tag', BASE_IMAGE, 'postgres:15'])
  await company.dockerForPrograms()
  await company.withoutPostgresPrograms()
  company.inImage('ops-db:1', 'alembic', 'upgrade', 'head')
  ccat('update', '1')
  await company.startWorker()
})
afterEach(async () => {
  company.shell('docker', ['compose', '-f', 'docker-compose.input-b.yml', 'down', '--timeout', '1'], { IMAGE_TAG: '1' })
  company.shell('docker', ['rmi', '--force', 'postgres:15'])
  await jenkins.server.close()
  await company.end()
})

/** `npx vitest run --config test/real/vitest.config.ts test/real/examples/jenkins.real.ts -u` writes its pages anew. */
test('the process of examples/jenkins goes its whole way, leaves everything where it fails, and makes a fresh database', async () => {
  await company.readme()
  expect(await company.rows('select version_num from alembic_version')).toEqual([{ version_num: '0052' }])
  expect(ccat('current').trim()).toBe('2')
  expect(ccat('status')).toContain('running')
  const posted = jenkins.server.received.filter(({ method }) => method === 'POST').map(({ path }) => path)
  expect(posted).toEqual([`${AT}/disable`, `${AT}/enable`, `${AT}/disable`, `${AT}/enable`])
  expect(jenkins.isDisabled).toBe(false)
})
