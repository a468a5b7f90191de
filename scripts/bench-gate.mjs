// How long the gate takes to close, proven, and to open, beside the bare commands: three consumers that become quiet by and by, one
// service. Measured side by side on this machine; nothing is asserted.
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { median, onGround, print, run, sql, timed } from './bench-ground.mjs'

const ROUNDS = Number(process.env.HEADGATE_BENCH_ROUNDS ?? 5)
/** A consumer works on for so long after it was told to pause, and a service after it was told to stop. */
const ENDS_AFTER_MS = 300
const NAMES = ['orders', 'stock', 'mails']

await onGround(async ({ folder, postgres, env, configure, startWorker, start }) => {
  await mkdir(join(folder, 'migrations'))
  await writeFile(join(folder, 'migrations', '0001_table.sql'), 'create table made (id int)')
  const script = async (name, body) => {
    await writeFile(join(folder, name), `#!/bin/sh\ncd "${folder}"\n${body}\n`, { mode: 0o755 })
    return [join(folder, name)]
  }
  const api = {
    deploy: [...(await script('deploy', 'echo "$1" > tag')), '{tag}'],
    start: await script('start', ':'),
    stop: await script('stop', `sleep ${ENDS_AFTER_MS / 1000}`),
    current: await script('current', 'cat tag 2>/dev/null || echo 1'),
  }
  const server = createServer(consumers()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = (name, verb) => `http://127.0.0.1:${server.address().port}/${name}/${verb}`
  await configure({
    migrator: { kind: 'umzug' },
    services: { api: { kind: 'command', ...api } },
    consumers: Object.fromEntries(
      NAMES.map((name) => [
        name,
        { kind: 'http', pause: at(name, 'pause'), resume: at(name, 'resume'), status: at(name, 'status') },
      ]),
    ),
  })
  await startWorker()

  const until = async (name, state) => {
    for (;;) {
      const said = await (await fetch(at(name, 'status'))).json()
      if (said.state === state && said.inFlight === 0) return
      await pause(50)
    }
  }
  const bare = { close: [], open: [] }
  const gate = { close: [], open: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    bare.close.push(
      await timed(async () => {
        for (const name of NAMES) {
          await fetch(at(name, 'pause'), { method: 'POST' })
          await until(name, 'paused')
        }
        await run(api.stop[0], [], env, folder)
      }),
    )
    bare.open.push(
      await timed(async () => {
        await run(api.deploy[0], [String(round)], env, folder)
        for (const name of NAMES) {
          await fetch(at(name, 'resume'), { method: 'POST' })
          await until(name, 'running')
        }
      }),
    )
    await sql(postgres.url('bench'), 'drop table if exists made, headgate_migrations')
    const handle = await start('deploy', { tag: String(round + 1) })
    const { outcome, reason } = await handle.result()
    if (outcome !== 'succeeded') throw new Error(`the run ended as ${outcome}: ${reason}`)
    const { lines } = await handle.query('state')
    const step = (name) => lines.find((line) => line.step === name)
    gate.close.push(step('quiesce-writers').endedAt - step('pause-consumers').startedAt)
    gate.open.push(step('resume-consumers').endedAt - step('restart-services').startedAt)
  }
  server.close()

  for (const [what, done] of [
    ['close', 'paused, stopped'],
    ['open', 'deployed, resumed'],
  ]) {
    print(`bare commands: ${done}`, bare[what])
    print(`the gate: ${done}, proven`, gate[what])
    const [least, most] = [median(bare[what]), median(gate[what])]
    console.log(`to ${what} it with proof: ${Math.round(most - least)} ms more, ${(most / least).toFixed(1)} times\n`)
  }
})

/** Each has three URLs, and a message in flight for a while after it was paused. */
function consumers() {
  const pausedAt = new Map()
  let processed = 0
  return (request, response) => {
    const [, name, verb] = request.url.split('/')
    if (verb === 'pause') pausedAt.set(name, pausedAt.get(name) ?? performance.now())
    if (verb === 'resume') pausedAt.delete(name)
    const since = pausedAt.get(name)
    const isBusy = since === undefined || performance.now() - since < ENDS_AFTER_MS
    if (since === undefined) processed += 1
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        state: since === undefined ? 'running' : 'paused',
        inFlight: since !== undefined && isBusy ? 1 : 0,
        processed,
      }),
    )
  }
}
