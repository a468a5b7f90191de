import { expect, test } from 'vitest'
import { planPage } from '../../src/cli/output-plan.js'
import { DIGEST, migration, planOfShop } from './plan-of-shop.js'

test('a plan is one page: what, how, which way back, who must agree, what to type', () => {
  expect(planPage(planOfShop(), DIGEST).join('\n')).toBe(`plan of shop production, tag 2
  database   shop, at 0001_orders → 0004_drop_item
  services   api 1 → 2

  stage 1    expand, 2 migrations to 0003_index, then the new image
    0002_add_sku (has a down)
      | ALTER TABLE orders
      |   ADD COLUMN sku text;
    0003_index index orders by sku (not in a transaction)
      | select 1
    undo     until services restart: the clone is swapped back, in seconds
    undo     after that: the previous image, on the expanded schema; no write is lost

  stage 2    contract, 1 migration to 0004_drop_item; waits for approval
    0004_drop_item
      | ALTER TABLE orders DROP COLUMN item;
    undo     until services restart: the clone is swapped back, in seconds
    undo     after its first commit: no previous image

  pauses     orders, stock
  stops      api
  backups    clone and dump
  approvers  1 of ana@example.com, ben@example.com; signed; not who asked; within 3 d
  digest     3f9a0c1d2e4b
  next       headgate deploy production --tag 2 --digest 3f9a0c1d2e4b`)
})

test('where no automatic restore is possible the plan says why, at each stage and once for all', () => {
  const page = planPage(
    planOfShop({ noRestoreBecause: 'no service can be stopped', backups: ['dump'], quiesces: [] }),
    DIGEST,
  )
  expect(page).toContain('  restore    no automatic restore here, because no service can be stopped')
  expect(page).toContain(
    '    undo     the database only where it is proven unchanged: no automatic restore, because no service can be stopped',
  )
  expect(page).toContain('  stops      nothing')
})

test('a plan that a finding stops proposes no deploy', () => {
  const page = planPage(planOfShop(), DIGEST, undefined, [], undefined, true)
  expect(page.at(-1)).toBe('  next       mend what says stop, or waive it with a reason, and plan again')
})

test('of a fix the stages after its own are left for a deploy', () => {
  const page = planPage(planOfShop({ fix: { by: 'cleo', recovery: 1, stage: 1 } }), DIGEST)
  expect(page.find((text) => text.startsWith('  stage 2'))).toMatch(/; left for a deploy after it$/)
})

test('a previous image that is not known is no way back', () => {
  const page = planPage(planOfShop({ services: [{ name: 'api', next: '2' }] }), DIGEST)
  expect(page).toContain('  services   api unknown → 2')
  expect(page.join('\n')).toContain('after that: no rollback of api: the image that runs now is not known')
})

test('nothing pending is said in two lines and what to look at', () => {
  expect(planPage(planOfShop({ stages: [], from: '0004_drop_item' }), DIGEST)).toEqual([
    'plan of shop production, tag 2',
    '  database   shop, at 0004_drop_item',
    '  nothing to do: nothing is pending, and the services run this release',
    '  next       headgate info production',
  ])
})

test('SQL is cut after 40 lines, and what would move the cursor is taken out of it', () => {
  const sql = ['\u001b[2Jselect 0', ...Array.from({ length: 42 }, (_, n) => `select ${n + 1}`)].join('\n')
  const stage = {
    number: 1,
    phase: 'expand' as const,
    migrations: [migration('0002_long', { sql })],
    deploysImage: false,
    approval: false,
  }
  const lines = planPage(planOfShop({ stages: [stage] }), DIGEST).filter((line) => line.startsWith('      |'))
  expect(lines).toHaveLength(41)
  expect(lines[0]).toBe('      | select 0')
  expect(lines.at(-1)).toBe('      | ... 3 more lines')
})

test('SQL that a migrator cannot show is said to be so', () => {
  const { sql: _, ...unseen } = migration('0002_compiled')
  const stage = { number: 1, phase: 'expand' as const, migrations: [unseen], deploysImage: false, approval: false }
  expect(planPage(planOfShop({ stages: [stage] }), DIGEST)).toContain('      | its SQL cannot be shown')
})

test('the plan of a fix tells what is done, what begins anew, and what is to be typed', () => {
  const [first, second] = planOfShop().stages
  if (!first || !second) throw new Error('the shop has two stages')
  const plan = planOfShop({
    tag: '3',
    stages: [
      { ...first, deploysImage: false },
      { ...second, migrations: [migration('0004_drop_item'), migration('0005_half')], target: '0005_half' },
    ],
    fix: { by: 'cleo', recovery: 1, stage: 2, kept: ['0004_drop_item'], halfDone: '0005_half' },
  })
  const run = 'production-20261120-120300'
  expect(
    planPage(plan, DIGEST, undefined, [], { run, isProposed: false }).join('\n'),
  ).toBe(`plan of ${run}, tag 3, which mends it
  database   shop, at 0001_orders → 0005_half
  services   api 1 → 2

  stage 1    done before

  stage 2    contract, 2 migrations to 0005_half; waits for approval
    0004_drop_item: applied already
    0005_half (half done: begins at its first statement)
      | select 1
    undo     nothing by itself: where it fails the run stays open, with its ways out

  pauses     orders, stock, as the run has left them
  stops      api, as the run has left them
  backups    clone and dump, as the run took them before the stage
  approvers  1 of ana@example.com, ben@example.com; signed; not who asked; within 3 d
  digest     3f9a0c1d2e4b
  next       headgate approve ${run} --digest 3f9a0c1d2e4b`)
  const proposed = planPage(plan, DIGEST, undefined, [], { run, isProposed: true })
  expect(proposed.at(-1)).toBe(`  next       headgate recover ${run} --fix --tag 3`)
  expect(proposed.join()).not.toContain('digest')
})
