import type { Ending } from '../../domain/run.js'
import { plural } from '../output-words.js'
import { approvesSlowly, deployTheSecond } from './approving.js'
import { deploy, type Play } from './deploying.js'
import { killsTheWorker, takeoverLines } from './killing.js'
import { DATABASE, type Look } from './shop.js'

export const SCENES = ['a', 'b', 'c'] as const
export type SceneName = (typeof SCENES)[number]

interface Scene {
  tag: string
  title: string
  why: string[]
  promise: Ending['outcome']
  /** Deploys, shows what there is to show, and returns how the run ended with what is not as promised. */
  act: (play: Play, before: Look) => Promise<{ ending: Ending; broken: string[] }>
}

const SCRIPT: Record<SceneName, Scene> = {
  a: {
    tag: '2',
    title: 'a column comes, another one goes',
    why: [
      '0002_add_sku expands: release 1 does not mind it. 0003_drop_item contracts: release 1 could not run after it, so it',
      'waits until release 2 serves, and until a person approves.',
    ],
    promise: 'succeeded',
    act: expandAndContract,
  },
  b: {
    tag: '3',
    title: 'a migration commits half of its work, then fails',
    why: [
      '0004_one_order_per_customer adds a column, fills it, commits; then its unique index meets customers who ordered the',
      'same twice. No rollback undoes that: the database is put back, as it was when the gate closed.',
    ],
    promise: 'restored',
    act: commitHalf,
  },
  c: {
    tag: '4',
    title: 'the worker dies in the middle of a migration',
    why: ['0005_add_channel takes seven seconds. After two and a half of them the worker gets a kill -9.'],
    promise: 'succeeded',
    act: dieInTheMiddle,
  },
}

/** Plays one scene. True when everything was as promised. */
export async function playScene(play: Play, name: SceneName): Promise<{ outcome: string; isAsPromised: boolean }> {
  const { terminal, ground, signal } = play
  const { tag, title, why, promise, act } = SCRIPT[name]
  terminal.say(`\n--- scene ${name}, release ${tag}: ${title} ---`)
  for (const text of why) terminal.say(text)
  if (name !== 'a' && (await ground.shop.look(signal)).release === '1') await deployTheSecond(play)
  terminal.say(`\n$ headgate deploy staging --tag ${tag}`)
  const before = await ground.shop.look(signal)
  const { ending, broken } = await act(play, before)
  const after = await ground.shop.look(signal)
  terminal.say(
    `  orders     ${before.acknowledged} acknowledged before the run, ${after.acknowledged - before.acknowledged} while it was under way`,
  )
  const all = [...(ending.outcome === promise ? [] : [`the outcome, which is to be ${promise}`]), ...broken]
  for (const what of all) terminal.say(`  NOT AS PROMISED: ${what}`)
  terminal.say(`\nscene ${name}: ${ending.outcome}`)
  return { outcome: ending.outcome, isAsPromised: all.length === 0 }
}

async function expandAndContract(play: Play): ReturnType<Scene['act']> {
  const { ending } = await deploy(play, '2', approvesSlowly(play))
  const { release, columns } = await play.ground.shop.look(play.signal)
  play.terminal.say(`  seen       release ${release} serves; orders has the columns ${columns.join(', ')}`)
  const isDone = release === '2' && columns.includes('sku') && !columns.includes('item')
  return { ending, broken: isDone ? [] : ['release 2 on a schema with sku and without item'] }
}

async function commitHalf(play: Play, before: Look): ReturnType<Scene['act']> {
  const { ground, terminal, signal } = play
  const { shop } = ground
  const schema = await shop.schema(signal)
  const { ending } = await deploy(play, '3', async () => {})
  const [schemaAfter, after] = [await shop.schema(signal), await shop.look(signal, before.orders.last)]
  const asides = after.putAside.filter((name) => !before.putAside.includes(name))
  const [aside = ''] = asides
  const left = aside === '' ? undefined : await shop.lookInto(aside, signal)
  const isEqual = { schema: schemaAfter.hash === schema.hash, orders: after.orders.hash === before.orders.hash }
  const equal = (is: boolean): string => (is ? 'equal' : 'NOT equal')
  terminal.say(
    `  seen       schema by pg_dump, ${plural(schema.objects, 'object')}: ${equal(isEqual.schema)}, sha256 ${schema.hash.slice(0, 12)} before and ${schemaAfter.hash.slice(0, 12)} after`,
  )
  terminal.say(`             the ${before.orders.count} orders of before: every value ${equal(isEqual.orders)}`)
  terminal.say(`             release ${after.release} serves (GET ${shop.url}/version)`)
  if (left)
    terminal.say(`             set aside in ${aside}: ${left.orders.count} orders, half_applied among the columns`)
  const broken = [
    isEqual.schema ? '' : 'the schema, which is to be as before',
    isEqual.orders ? '' : 'the orders, which are to be as before',
    after.release === before.release ? '' : `the service, which is to be release ${before.release}`,
    asides.length === 1 && left?.columns.includes('half_applied')
      ? ''
      : 'one database set aside, with the half-applied column',
  ]
  return { ending, broken: broken.filter(Boolean) }
}

async function dieInTheMiddle(play: Play): ReturnType<Scene['act']> {
  const { takePart, killed } = killsTheWorker(play)
  const { ending, handle } = await deploy(play, '4', takePart)
  await killed()
  const takeovers = await takeoverLines(handle)
  const { release, audit } = await play.ground.shop.look(play.signal)
  const times = audit.find(({ migration }) => migration === '0005_add_channel')?.times ?? 0
  play.terminal.say(
    `  seen       release ${release} serves; the audit table of ${DATABASE} has 0005_add_channel ${times === 1 ? 'once' : `${times} times`}`,
  )
  for (const text of takeovers) play.terminal.say(`  history    ${text}`)
  const broken = [
    times === 1 ? '' : 'the effects of 0005_add_channel, of which there is to be one',
    takeovers.length > 0 ? '' : 'a later attempt of the migration after a heartbeat timeout',
    release === '4' ? '' : 'the service, which is to be release 4',
  ]
  return { ending, broken: broken.filter(Boolean) }
}
