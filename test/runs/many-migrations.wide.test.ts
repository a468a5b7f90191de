import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

const MANY = 5_000

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

test('5,000 pending migrations are planned, listed, reviewed and applied as one stage', async () => {
  const migrations = Object.fromEntries(
    Array.from({ length: MANY }, (_, n) => [
      `${String(n + 2).padStart(5, '0')}_setting.sql`,
      `create table settings_${n} (name text primary key, value text not null); comment on table settings_${n} is 'of module ${n}'; -- ${'why this is so '.repeat(40)}`,
    ]),
  )
  world = await World.create({ migrations })
  await world.startWorker()
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text.slice(-2_000)).toMatchObject({ exit: 0 })
  expect(plan.text).toContain('5000 migrations to 05001_setting')
  expect(plan.text, 'the SQL of all would be more than Temporal carries').toMatch(/-- \d+ characters: see the file/)
  const info = await world.typed('info', 'staging', '--tag', '2')
  expect(info, info.text.slice(-2_000)).toMatchObject({ exit: 0 })
  expect(info.text.match(/\/pending: /g)).toHaveLength(MANY)
  const deployed = await world.typed('deploy', 'staging', '--tag', '2')
  expect(deployed, deployed.text.slice(-2_000)).toMatchObject({ exit: 0 })
  expect(await world.rows('select from headgate_migrations')).toHaveLength(MANY + 1)
  const { runs } = JSON.parse((await world.typed('history', 'staging', '-o', 'json')).stdout)
  const report = await world.typed('report', runs[0].run)
  expect(report, report.text.slice(-2_000)).toMatchObject({ exit: 0 })
  await world.quiet()
  expect(await world.lost()).toEqual([])
})
