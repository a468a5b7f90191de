import { copyFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../../support/http-server.js'
import { HAS_SQLX, SQLX } from '../../support/sqlx-release.js'
import { Company } from './company.js'

const OF_TWO = ['20240115000000_providers.sql', '20240201000000_new_feature.sql']
const HALF = {
  '20240301000000_rates.sql':
    'create table rates (provider bigint not null references providers, cents bigint not null)',
  '20240302000000_first_rates.sql': 'insert into rates (provider, cents) select id, cents from nowhere',
}

describe.runIf(HAS_SQLX)('the process of examples/admin-container', () => {
  let company: Company

  beforeEach(async () => {
    company = await Company.found('admin-container')
    const port = await freePort()
    company.env.API_URL = `http://127.0.0.1:${port}`
    await writeFile(join(company.folder, 'ops', 'api.env'), `PORT=${port}\nDATABASE_URL=${company.env.DATABASE_URL}\n`)
    for (const tag of ['1', '2', '3']) {
      await company.build(`agents-api:${tag}`)
      await company.build(
        `agents-admin:${tag}`,
        async (folder) => {
          await copyFile(SQLX, join(folder, 'sqlx'))
          const at = (name: string): string => join(folder, 'migrations', name)
          if (tag === '1') for (const name of OF_TWO) await rm(at(name))
          if (tag === '3') for (const [name, sql] of Object.entries(HALF)) await writeFile(at(name), sql)
        },
        'admin.Dockerfile',
      )
    }
    company.inImage('agents-admin:1', 'migrate')
    company.shell('./ops/api', ['deploy', '1'])
    await company.dockerForPrograms()
    await company.startWorker()
  })
  afterEach(async () => {
    company.shell('docker', ['rm', '--force', 'agents-api'])
    await company.end()
  })

  /** `npx vitest run --config test/real/vitest.config.ts test/real/examples/admin-container.real.ts -u` writes its pages anew. */
  test('goes its whole way, and is put back where it fails half-way', async () => {
    await company.readme()
    expect(await company.rows('select version::text from _sqlx_migrations where success order by 1')).toEqual(
      ['20240101000000', '20240115000000', '20240201000000'].map((version) => ({ version })),
    )
    expect(await company.rows(`select to_regclass('rates')::text as rates`)).toEqual([{ rates: null }])
    expect(company.shell('./ops/api', ['current']).trim()).toBe('2')
  })
})
