import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { headgate } from '../support/command-line.js'
import { HELD, untilHeld } from '../support/held-migration.js'
import { withControl } from '../support/test-database.js'
import { World } from '../support/world.js'

const PAGE = fileURLToPath(new URL('../../docs/recovery.md', import.meta.url))
const HALF = `-- headgate:no-transaction
  update orders set item = 'half';
  ${HELD}`

let world: World
afterEach(async () => {
  await world.end()
})

/** The SQL under a heading of the page, its n-th block, with the world's names in the place of the page's. */
async function typed(heading: string, run: string, clone = '', block = 0): Promise<Record<string, unknown>[]> {
  const [, section = ''] = (await readFile(PAGE, 'utf8')).split(`### ${heading}\n`)
  const sql = [...(section.split('\n#')[0]?.matchAll(/```sql\n(.*?)```/gs) ?? [])][block]?.[1] ?? ''
  expect(sql).not.toBe('')
  const own = sql
    .replaceAll(/--.*$/gm, '')
    .replaceAll('shop__c_261120103015_1f2e', clone)
    .replaceAll(/\bshop\b/g, world.database.name)
    .replaceAll('shop__q_by_hand', `${world.database.name}__q_by_hand`)
    .replaceAll('headgate.runs', `${world.project.replaceAll('-', '_')}.runs`)
    .replaceAll('RUN', run)
  const inJournal = /-- in the database headgate/.test(sql)
  const rows: Record<string, unknown>[] = []
  for (const statement of inJournal ? [own] : [])
    for (const one of statement.split(';').filter((text) => text.trim()))
      rows.push(...(await world.rows(one, 'headgate')))
  if (!inJournal)
    await withControl(async (control) => {
      for (const one of own.split(';').filter((text) => text.trim())) rows.push(...(await control.query(one)).rows)
    })
  return rows
}

test('who takes a run over with SQL alone and puts the clone back is not overruled by a worker that comes back', async () => {
  world = await World.create({ migrations: { '0002_half.sql': HALF }, writesLate: true })
  const worker = await world.startWorker()
  await world.start()
  const { run } = await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await untilHeld(world.database.name)
  const items = (): Promise<unknown[]> => world.rows(`select distinct item from orders`)
  worker.kill('SIGKILL')

  expect(await typed('Take the run over', run)).toEqual([{ name: run, gate: 'closed', contract_started_at: null }])
  await typed('Close it', run)
  await withControl(async (control) => {
    const inside = `select pid from pg_stat_activity where datname = '${world.database.name}' and usesysid is not null`
    await control.query(`select pg_terminate_backend(pid) from (${inside}) i`)
    while ((await control.query(inside)).rowCount !== 0);
  })
  const [clone = ''] = await world.clones()
  await typed('Swap a clone in', run, clone)
  await typed('Open a closed database', run, clone, 1)
  expect(await items()).toEqual([{ item: 'bread' }])

  await world.script('start-by-hand', 'touch running')
  await world.startWorker()
  expect(await world.handle.result().catch((error: Error) => error.name)).toBe('WorkflowFailedError')
  // Its reconciler has looked at least twice.
  await new Promise((resolve) => setTimeout(resolve, 11_000))
  expect(await world.journal('select state, carrier, outcome from {s}.runs')).toEqual([
    { state: 'open', carrier: 'by hand', outcome: null },
  ])
  expect(await items()).toEqual([{ item: 'bread' }])
  const say = (...words: string[]): ReturnType<typeof headgate> =>
    headgate(words, world.folder, { TEMPORAL_ADDRESS: world.address })
  expect((await say('status', 'staging')).text).toContain(`headgate recover ${run}`)

  const early = await say('recover', run, '--accept')
  expect(early.text).toContain('docs/recovery.md')
  await typed('Tell the journal', run)
  const accepted = await say('recover', run, '--accept')
  expect(accepted, accepted.text).toMatchObject({ exit: 0 })
  expect(await world.journal('select state from {s}.runs')).toEqual([{ state: 'ended' }])
  expect(await items()).toEqual([{ item: 'bread' }])
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})
