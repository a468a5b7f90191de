import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { WorkflowFailedError } from '@temporalio/client'
import { afterEach, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { messageOf } from '../../src/domain/failures.js'
import { WEB } from '../support/web-service.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** Another one for each test: the server remembers for minutes who has polled it. */
let queue: string
/** It notes what changes it; where there is a file `hold`, a deploy waits until it is gone. */
const SCRIPT = `#!/bin/sh
case "$1" in
  deploy)
    echo "deploy $2 begins" >> log
    while [ -e hold ]; do sleep 0.05; done
    echo "$2" > tag; touch runs; echo "deploy $2" >> log ;;
  start) touch runs; echo start >> log ;;
  stop) rm -f runs; echo stop >> log ;;
  current) cat tag ;;
  status) [ -e runs ] && echo '{"state":"running"}' || echo '{"state":"stopped"}' ;;
esac
`
const host = (...path: string[]): string => join(world.folder, 'web-host', ...path)
const log = async (): Promise<string[]> => (await readFile(host('log'), 'utf8')).trimEnd().split('\n')
const untilThere = async (line: string, times = 1): Promise<void> => {
  while ((await log().catch(() => [])).filter((one) => one === line).length < times) await pause(20)
}
const startThere = (): Promise<ChildProcess> => world.startWorker({ QUEUE: queue }, world.address, host())

async function company(options: Partial<WorldOptions> = {}): Promise<void> {
  queue = `web-${randomUUID().slice(0, 8)}`
  world = await World.create({
    migrations: { '0002_add_note.sql': 'alter table orders add column note text' },
    heartbeatMs: 2_000,
    ...options,
    configuration: { services: { web: { ...WEB, queue } }, ...options.configuration },
  })
  await mkdir(host('bin'), { recursive: true })
  await copyFile(join(world.folder, 'headgate.yaml'), host('headgate.yaml'))
  await writeFile(host('bin', 'web'), SCRIPT, { mode: 0o755 })
  await writeFile(host('tag'), '1\n')
  await writeFile(host('runs'), '')
  await world.startWorker()
}

/** A call as anybody can make one who can write to Temporal; what it fails of. */
async function call(change: string, environment = 'staging'): Promise<string> {
  const asked = { project: world.project, environment, service: 'web', call: { change } }
  const options = { workflowId: `mallory/${randomUUID()}`, taskQueue: queue, args: [asked] }
  const error: unknown = await world.temporal.workflow.execute('serviceCall', options).catch((reason) => reason)
  const activity = error instanceof WorkflowFailedError ? error.cause : error
  return messageOf(activity instanceof Error ? (activity.cause ?? activity) : activity)
}

test('a service on another host is stopped, deployed and started by the worker there', async () => {
  await company()
  await startThere()
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(ending.lines.map(({ note }) => note)).toContain('stopped web; 0 sessions of others ended; gate proven closed')
  expect(await log()).toEqual(['stop', 'deploy 2 begins', 'deploy 2'])
  expect(existsSync(join(world.folder, 'runs'))).toBe(false)
})

test('where a release fails, the worker there brings the image of before back', async () => {
  await company({
    configuration: { smoke: [{ name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }] },
  })
  await startThere()
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect((await log()).filter((line) => !line.endsWith('begins'))).toEqual(['stop', 'deploy 2', 'deploy 1', 'start'])
})

test('a release is refused before anything is touched where no worker serves the host', async () => {
  await company()
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted' })
  expect(ending.reason).toContain(`service web is out of reach: no worker polls ${queue}`)
  expect(ending.hint).toBe(`start \`headgate worker --queue ${queue}\` on the host of web`)
  expect(world.consumer.state).toBe('running')
})

test.each(['killed', 'frozen'])(
  'a worker there that is %s while it deploys leaves the rest to the next one',
  async (how) => {
    await company()
    const first = await startThere()
    await writeFile(host('hold'), '')
    await world.start()
    await untilThere('deploy 2 begins')
    first.kill(how === 'killed' ? 'SIGKILL' : 'SIGSTOP')
    await startThere()
    await untilThere('deploy 2 begins', 2)
    first.kill('SIGCONT')
    await pause(1_000)
    await rm(host('hold'))
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(await log()).toEqual(['stop', 'deploy 2 begins', 'deploy 2 begins', 'deploy 2'])
  },
)

test('a change is made once, and in the environment that it was asked for', async () => {
  await company()
  const { url } = world.database
  const environments = { staging: { url }, other: { url } }
  await world.configure({ services: { web: { ...WEB, queue } } })
  const text = await readFile(join(world.folder, 'headgate.yaml'), 'utf8')
  await writeFile(host('headgate.yaml'), stringify({ ...parse(text), environments }))
  await startThere()
  await writeFile(host('hold'), '')
  await world.start()
  await untilThere('deploy 2 begins')
  const [asked] = await world.journal<{ id: string }>(
    'select id from {s}.service_changes order by asked_at desc limit 1',
  )
  expect(await call(asked?.id ?? '')).toContain('was made before')
  expect(await call(asked?.id ?? '', 'other')).toMatch(/is one of service web, for run staging-/)
  await rm(host('hold'))
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await log()).toEqual(['stop', 'deploy 2 begins', 'deploy 2'])
})

test('two services of one host are stopped at once, and each is deployed', async () => {
  await company()
  await world.configure({ services: { web: { ...WEB, queue }, jobs: { ...WEB, queue } } })
  await copyFile(join(world.folder, 'headgate.yaml'), host('headgate.yaml'))
  await startThere()
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect((await log()).filter((line) => !line.endsWith('begins'))).toEqual(['stop', 'stop', 'deploy 2', 'deploy 2'])
})

test('a worker for services on the queue of runs is refused', async () => {
  await company()
  const runs = `headgate-${world.project}-staging`
  await world.configure({ services: { web: { ...WEB, queue: runs } } })
  const answer = await world.typed('worker', '--queue', runs)
  expect(answer.exit).toBe(1)
  expect(answer.text).toContain(`${runs} is the queue that the runs of staging are on`)
})

test('nothing is done that no attempt asks for now', async () => {
  await company()
  await startThere()
  const made = randomUUID()
  expect(await call(made)).toBe(`no run has asked for the change ${made}`)
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
  const before = await log()
  for (const { id } of await world.journal<{ id: string }>('select id from {s}.service_changes'))
    expect(await call(id)).toMatch(/^a later attempt has taken over|is over/)
  expect(await log()).toEqual(before)
})
