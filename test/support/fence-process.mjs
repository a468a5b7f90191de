// One attempt at a resource as a process of its own: takes the fence, adds a column, commits. node fence-process.mjs JSON
// Says on standard output where it is, one JSON object per line, and freezes itself where it is told to: before the
// request of a numbered await leaves, or once it is sent and its answer unread.
import pg from 'pg'
import { withFence } from '../../dist/adapters/journal/fence.js'
import { Journal } from '../../dist/adapters/journal/journal.js'
import { openSession } from '../../dist/adapters/postgres/session.js'
import { containerHost } from '../../dist/adapters/process/container-host.js'
import { THIS_MACHINE } from '../../dist/adapters/process/tool-host.js'
import { ContainerConfiguration } from '../../dist/domain/configuration-migrator.js'
import { knownFailure, messageOf } from '../../dist/domain/failures.js'

const {
  journal: at,
  schema,
  target,
  resource,
  run = 'fence',
  step = 'migrate',
  freeze,
  holdMs = 400,
  tool,
  image,
} = JSON.parse(process.argv[2])

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
const stop = () => process.kill(process.pid, 'SIGSTOP')

const seen = new Map()
for (const name of ['connect', 'query']) {
  const original = pg.Client.prototype[name]
  pg.Client.prototype[name] = function (...args) {
    const who = (this.connectionParameters.application_name ?? '').replace(/^hg:.*:/, '')
    const what = name === 'connect' ? 'connect' : String(args[0]).replace(/\s+/g, ' ').trim().slice(0, 40)
    const times = (seen.get(`${who}: ${what}`) ?? 0) + 1
    seen.set(`${who}: ${what}`, times)
    const key = `${who}: ${what} #${times}`
    say({ event: 'await', key })
    if (freeze?.key === key && freeze.where === 'before') stop()
    const answer = original.apply(this, args)
    if (freeze?.key === key && freeze.where === 'sent') stop()
    return answer
  }
}

const journal = new Journal(at, schema)
const request = {
  journal,
  target,
  resource,
  run,
  step,
  signal: new AbortController().signal,
  waiting: new AbortController().signal,
  progress: (text) => say({ event: 'progress', text }),
  onSession: async () => {},
}

async function addColumn({ fence, requireHeld }) {
  const session = await openSession(target, { applicationName: fence.applicationName })
  try {
    await requireHeld()
    const { rowCount } = await session.query(
      `select from pg_attribute where attrelid = 'dummy'::regclass and attname = 'added'`,
    )
    if (rowCount > 0) return 'seen'
    await fence.check()
    say({ event: 'acting' })
    await session.query(
      `begin; alter table dummy add column added int; insert into audit values (${fence.epoch}); select pg_sleep(${holdMs / 1000}); commit`,
    )
    return 'added'
  } finally {
    await session.end().catch(() => {})
  }
}

const runTool = async ({ fence }) => {
  say({ event: 'acting' })
  const host = image ? containerHost({ image, container: ContainerConfiguration.parse({}) }, '') : THIS_MACHINE
  const request = { name: 'tool', command: tool, env: { PGAPPNAME: fence.applicationName }, graceMs: 10_000 }
  return host.runFenced('', request, fence)
}

try {
  const did = await withFence(request, async (held) => {
    const { epoch } = held.fence
    say({ event: 'held', epoch })
    return { epoch, did: await (tool ? runTool(held) : addColumn(held)) }
  })
  say({ event: 'done', ...did })
} catch (error) {
  say({ event: 'failed', code: knownFailure(error)?.code ?? error.code ?? error.name, message: messageOf(error) })
}
await journal.close()
