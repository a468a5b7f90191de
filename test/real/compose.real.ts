import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createConsumer } from '../../src/adapters/consumer/index.js'
import { createService } from '../../src/adapters/service/index.js'
import type { Service } from '../../src/adapters/service/port.js'
import { ConsumerConfiguration, ServiceConfiguration } from '../../src/domain/configuration.js'
import { consumerContract } from '../adapters/consumer/contract.js'
import { serviceContract } from '../adapters/service/contract.js'
import { failureOf } from '../support/failure-of.js'
import { OpenFence } from '../support/open-fence.js'
import { HERE } from '../support/reach.js'
import { ComposeProject } from './compose-project.js'
import { docker } from './containers.js'

const signal = new AbortController().signal
const fence = new OpenFence()

function serviceOf(project: ComposeProject, services: string[], more: object = {}): Service {
  const written = { kind: 'compose', services, files: [project.file], tagVariable: 'TAG', within: '60s', ...more }
  const context = { directory: project.folder, secrets: ['hunter2-secret'] }
  return createService('api', ServiceConfiguration.parse({ directory: project.folder, ...written }), context, HERE)
}

const consumerOf = (project: ComposeProject, services: string[], more: object = {}) =>
  createConsumer(
    'orders',
    ConsumerConfiguration.parse({
      ...{ kind: 'compose', services, files: [project.file], directory: project.folder, tagVariable: 'TAG' },
      ...more,
    }),
    { directory: project.folder, secrets: [] },
  )

serviceContract('compose', async () => {
  const project = new ComposeProject({ api: {} })
  for (const tag of ['v1', 'v2']) project.build(tag)
  return {
    service: serviceOf(project, ['api']),
    running: () => project.runs('api'),
    close: async () => project.end(),
  }
})

consumerContract('compose', async () => {
  const project = new ComposeProject({ orders: {} })
  project.build('v1')
  project.compose('v1', 'up', '--detach', '--wait')
  return {
    consumer: consumerOf(project, ['orders']),
    state: () => (project.runs('orders') === undefined ? 'paused' : 'running'),
    close: async () => project.end(),
  }
})

let project: ComposeProject
const ended = (): void => project.end()

describe('services of one project', () => {
  let service: Service
  beforeEach(() => {
    project = new ComposeProject({ api: {}, jobs: { depends_on: ['api'] }, db: { image: 'nobody/has-this' } })
    for (const tag of ['v1', 'v2']) project.build(tag)
    service = serviceOf(project, ['api', 'jobs'])
  })
  afterEach(ended)

  test('are deployed together, and nothing that they depend on is', async () => {
    await service.deploy('v1', fence)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v1', 'v1'])
    await service.stop(fence)
    expect(await service.isRunning(signal)).toBe(false)
    await service.start(fence)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v1', 'v1'])
  })

  test('of which one is a consumer get the image together, and that one stays stopped until it is resumed', async () => {
    const kept = serviceOf(project, ['api', 'jobs'], { keepStopped: ['jobs'] })
    const consumer = consumerOf(project, ['jobs'])
    await service.deploy('v1', fence)
    const before = await kept.currentImage?.(signal)
    await consumer.pause(fence)
    await kept.stop(fence)
    expect(await kept.isRunning(signal)).toBe(false)
    await kept.deploy('v2', fence)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v2', undefined])
    expect(await kept.current(signal)).toBe('v2')
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    await consumer.resume(fence)
    expect(project.runs('jobs')).toBe('v2')
    // One that runs goes on running, as does one that is not there to be paused.
    await kept.deploy('v1', fence, before)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v1', 'v1'])
  })

  test('of which one is kept stopped are stopped and started without it', async () => {
    const kept = serviceOf(project, ['api', 'jobs'], { keepStopped: ['jobs'] })
    await service.deploy('v1', fence)
    await kept.stop(fence)
    expect([project.runs('api'), project.runs('jobs')]).toEqual([undefined, 'v1'])
    await consumerOf(project, ['jobs']).pause(fence)
    await kept.start(fence)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v1', undefined])
  })

  test('are on no tag while they are on two', async () => {
    project.compose('v1', 'up', '--detach', '--wait', 'api')
    project.compose('v2', 'up', '--detach', '--wait', '--no-deps', 'jobs')
    expect(await service.current(signal)).toBeUndefined()
    await service.deploy('v2', fence)
    expect(await service.current(signal)).toBe('v2')
  })

  test('of which somebody has run one by hand go out, stop and start, and are brought back', async () => {
    const quick = serviceOf(project, ['api', 'jobs'], { within: '10s' })
    await quick.deploy('v1', fence)
    const before = await quick.currentImage?.(signal)
    project.compose('v1', 'run', '--no-deps', '-T', 'api', 'true')
    await quick.deploy('v2', fence)
    expect(await quick.current(signal)).toBe('v2')
    await quick.stop(fence)
    expect(await quick.isRunning(signal)).toBe(false)
    await quick.start(fence)
    await quick.deploy('v1', fence, before)
    expect([project.runs('api'), project.runs('jobs')]).toEqual(['v1', 'v1'])
  })

  test('of which somebody runs one by hand are not stopped before that has ended', async () => {
    await service.deploy('v1', fence)
    project.compose('v1', 'run', '--detach', '--no-deps', '-T', 'api', 'sleep', '300')
    const failed = await failureOf(service.stop(fence))
    expect(failed).toMatchObject({ code: 'ServiceFailed' })
    expect(failed?.message).toContain('api is still run by hand (compose run)')
    // It is no service that somebody has left running.
    expect(await service.isRunning(signal)).toBe(false)
  })

  test('that the files do not have are named with those they have', async () => {
    const failed = await failureOf(serviceOf(project, ['web']).deploy('v1', fence))
    expect(failed).toMatchObject({ code: 'ConfigurationInvalid' })
    expect(failed?.message).toContain('no service web; they have: api, db, jobs')
  })

  test('files that cannot be read are told of with what Compose says', async () => {
    const failed = await failureOf(serviceOf(project, ['api'], { files: ['/nowhere/compose.yaml'] }).current(signal))
    expect(failed).toMatchObject({ code: 'ConfigurationInvalid' })
    expect(failed?.message).toContain('/nowhere/compose.yaml')
  })

  test('files that want a variable which nobody gives are told of with what to write', async () => {
    const consumer = consumerOf(project, ['api'], { tagVariable: undefined })
    const failed = await failureOf(consumer.state(signal))
    expect(failed).toMatchObject({ code: 'ConfigurationInvalid' })
    expect(failed?.message).toContain('required variable TAG is missing')
    expect(failed?.detail.hint).toContain('write tagVariable: TAG')
  })

  test('an engine that is away is told of as such', async () => {
    const failed = await failureOf(
      serviceOf(project, ['api'], { engine: ['docker', '--host', 'tcp://127.0.0.1:4'] }).current(signal),
    )
    expect(failed).toMatchObject({ code: 'EngineUnreachable' })
  })

  test('with an image that is the same for each release are refused', async () => {
    const failed = await failureOf(serviceOf(project, ['db']).deploy('v1', fence))
    expect(failed).toMatchObject({ code: 'ConfigurationInvalid' })
    expect(failed?.message).toContain('nobody/has-this, is the same for each release')
  })
})

describe('a tag that was moved', () => {
  let service: Service
  beforeEach(async () => {
    project = new ComposeProject({ api: {} })
    project.build('v1', 'v1 as it was')
    service = serviceOf(project, ['api'])
    await service.deploy('v1', fence)
  })
  afterEach(ended)

  test('is another image than the one that runs', async () => {
    const before = await service.currentImage?.(signal)
    expect(before).toBe(await service.imageOf?.('v1', 'present'))
    project.build('v1', 'v1 anew')
    expect(await service.current(signal)).toBe('v1')
    expect(await service.currentImage?.(signal)).toBe(before)
    expect(await service.imageOf?.('v1', 'newest')).not.toBe(before)
  })

  test('does not keep the image of then from being brought back', async () => {
    const then = await service.currentImage?.(signal)
    project.build('v1', 'v1 anew')
    project.build('v2')
    await service.deploy('v2', fence)
    expect(await service.exists('v1', signal, then)).toBe(true)
    await service.deploy('v1', fence, then)
    await service.deploy('v1', fence, then)
    expect(project.runs('api')).toBe('v1 as it was')
    expect(await service.current(signal)).toBe('v1')
    expect(await service.currentImage?.(signal)).toBe(then)
    await service.stop(fence)
    await service.start(fence)
    expect(project.runs('api')).toBe('v1 as it was')
  })

  test('neither does one that is gone', async () => {
    const then = await service.currentImage?.(signal)
    project.build('v2')
    docker('rmi', '--force', `${project.name}:v1`)
    expect(await service.exists('v1', signal)).toBe(false)
    expect(await service.exists('v1', signal, then)).toBe(true)
    await service.deploy('v1', fence, then)
    expect(project.runs('api')).toBe('v1 as it was')
  })

  test('an image that is nowhere any more is told of', async () => {
    const nowhere = `api=sha256:${'0'.repeat(64)}`
    expect(await service.exists('v9', signal, nowhere)).toBe(false)
    expect(await failureOf(service.deploy('v9', fence, nowhere))).toMatchObject({ code: 'ServiceFailed' })
    expect(project.runs('api')).toBe('v1 as it was')
  })
})

describe('a container that does not get well', () => {
  const healthcheck = { test: ['CMD', 'test', '-e', '/well'], interval: '200ms', retries: 2 }
  afterEach(ended)

  test('fails the deploy, and the start', async () => {
    project = new ComposeProject({ api: { healthcheck } })
    project.build('v1', 'well', ['sh', '-c', 'touch /well; exec sleep infinity'])
    project.build('v2', 'sick')
    const service = serviceOf(project, ['api'], { within: '20s' })
    await service.deploy('v1', fence)
    expect(await failureOf(service.deploy('v2', fence))).toMatchObject({ code: 'ServiceFailed' })
    await service.stop(fence)
    expect(await failureOf(serviceOf(project, ['api'], { within: '2s' }).start(fence))).toMatchObject({
      code: 'ServiceFailed',
      message: expect.stringContaining('does not get well'),
    })
    await service.deploy('v1', fence)
    expect(project.runs('api')).toBe('well')
  })

  test('that ends at once is told of', async () => {
    project = new ComposeProject({ api: {} })
    project.build('v1', 'ends', ['sh', '-c', 'exit 3'])
    expect(await failureOf(serviceOf(project, ['api']).deploy('v1', fence))).toMatchObject({ code: 'ServiceFailed' })
  })
})

describe('consumers of one project', () => {
  beforeEach(() => {
    project = new ComposeProject({ orders: {}, stock: {} })
    project.build('v1')
  })
  afterEach(ended)

  test('are paused and resumed together', async () => {
    project.compose('v1', 'up', '--detach', '--wait')
    const consumer = consumerOf(project, ['orders', 'stock'])
    await consumer.pause(fence)
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    await consumer.resume(fence)
    expect([project.runs('orders'), project.runs('stock')]).toEqual(['v1', 'v1'])
  })

  test('of which somebody has stopped one are refused: it would be started', async () => {
    project.compose('v1', 'up', '--detach', '--wait')
    project.compose('v1', 'stop', 'stock')
    const failed = await failureOf(consumerOf(project, ['orders', 'stock']).state(signal))
    expect(failed?.message).toContain('orders runs, stock is stopped')
  })

  test('that were never started are told of', async () => {
    const failed = await failureOf(consumerOf(project, ['orders']).state(signal))
    expect(failed?.message).toContain('orders has no container')
  })

  test('that somebody has frozen are refused: they would be woken, and hold what they hold', async () => {
    project.compose('v1', 'up', '--detach', '--wait')
    project.compose('v1', 'pause', 'orders')
    const consumer = consumerOf(project, ['orders'])
    const failed = await failureOf(consumer.state(signal))
    expect(failed).toMatchObject({ code: 'ConsumerNotQuiet' })
    expect(failed?.message).toContain('orders is frozen')
    // One that is frozen after it was asked for its state is stopped all the same.
    await consumer.pause(fence)
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
  })

  test('that somebody runs by hand beside it are in flight until that has ended, and nothing after it', async () => {
    project.compose('v1', 'up', '--detach', '--wait')
    project.compose('v1', 'run', '--no-deps', '-T', 'orders', 'true')
    const consumer = consumerOf(project, ['orders'])
    expect(await consumer.state(signal)).toEqual({ state: 'running', inFlight: 0 })
    project.compose('v1', 'stop', 'orders')
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    project.compose('v1', 'run', '--detach', '--no-deps', '-T', 'orders', 'sleep', '300')
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 1 })
  })
})
