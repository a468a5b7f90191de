import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createConsumer } from '../../src/adapters/consumer/index.js'
import type { Consumer } from '../../src/adapters/consumer/port.js'
import { proveQuiet } from '../../src/adapters/consumer/quiet.js'
import { createService } from '../../src/adapters/service/index.js'
import type { Service } from '../../src/adapters/service/port.js'
import { ConsumerConfiguration, ServiceConfiguration } from '../../src/domain/configuration.js'
import { consumerContract } from '../adapters/consumer/contract.js'
import { serviceContract } from '../adapters/service/contract.js'
import { failureOf } from '../support/failure-of.js'
import { OpenFence } from '../support/open-fence.js'
import { HERE } from '../support/reach.js'
import { Kubernetes } from './kubernetes.js'

const signal = new AbortController().signal
const fence = new OpenFence()
const IMAGE = 'registry.test/shop'
const UNKNOWN = `${IMAGE}@sha256:${'0'.repeat(64)}`

let cluster: Kubernetes
let namespace: string
beforeAll(async () => {
  cluster = await Kubernetes.start()
  process.env.KUBECONFIG = cluster.kubeconfig
  cluster.apply(definitionOf('keda.sh', 'v1alpha1', 'ScaledObject', 'scaledobjects'))
  cluster.apply(definitionOf('argoproj.io', 'v1alpha1', 'Application', 'applications'))
})
afterAll(() => cluster?.end())

async function fresh(): Promise<void> {
  namespace = `shop-${randomBytes(4).toString('hex')}`
  await cluster.namespace(namespace)
  for (const [tag, digit] of Object.entries({ v1: '1', v2: '2' })) cluster.node.push(`${IMAGE}:${tag}`, digit)
}
const left = async (): Promise<void> => {
  cluster.node.lingerMs = 0
  cluster.node.registry.clear()
  cluster.typed('delete', 'deployments,statefulsets', '--all', '--namespace', namespace, '--wait=false')
}

/** A kind of object that an operator brings, with whatever is in it. */
const definitionOf = (group: string, version: string, kind: string, plural: string): string =>
  JSON.stringify({
    ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
    metadata: { name: `${plural}.${group}` },
    spec: {
      ...{ group, scope: 'Namespaced', names: { kind, plural } },
      versions: [
        {
          ...{ name: version, served: true, storage: true },
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  })

interface Written {
  kind?: 'Deployment' | 'StatefulSet'
  image?: string
  replicas?: number
  more?: object
}

async function workload(
  name: string,
  { kind = 'Deployment', image = `${IMAGE}:v1`, replicas = 1, more = {} }: Written = {},
): Promise<void> {
  const labels = { app: name }
  const object = {
    ...{ apiVersion: 'apps/v1', kind, metadata: { name, namespace } },
    spec: {
      ...{ replicas, selector: { matchLabels: labels } },
      ...(kind === 'Deployment'
        ? { progressDeadlineSeconds: 5 }
        : { serviceName: name, podManagementPolicy: 'Parallel' }),
      template: {
        metadata: { labels },
        spec: { nodeName: 'a-node', containers: [{ name: 'app', image }], ...more },
      },
    },
  }
  cluster.apply(JSON.stringify(object))
  await cluster.rollout(`${kind.toLowerCase()}/${name}`, namespace)
}

const common = (more: object = {}) => ({
  ...{ kind: 'kubernetes', namespace, context: 'headgate', command: [cluster.kubectl], within: '60s' },
  ...more,
})
const serviceOf = (workloads: string[], more: object = {}): Service =>
  createService(
    'api',
    ServiceConfiguration.parse(common({ workloads, image: `${IMAGE}:{tag}`, ...more })),
    { directory: '/', secrets: [] },
    HERE,
  )
const consumerOf = (workloads: string[], more: object = {}): Consumer =>
  createConsumer('orders', ConsumerConfiguration.parse(common({ workloads, ...more })), { directory: '/', secrets: [] })

interface Listed {
  items: {
    metadata: { deletionTimestamp?: string }
    spec: { containers: { image: string }[]; initContainers?: { image: string }[] }
    status: { conditions?: { type: string; status: string }[] }
  }[]
}
/** Images of what is ready. */
function running(name: string): string[] {
  const { items }: Listed = JSON.parse(
    cluster.typed('get', 'pods', '--namespace', namespace, '--selector', `app=${name}`, '--output', 'json'),
  )
  const isReady = ({ status }: Listed['items'][number]): boolean =>
    status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false
  return items
    .filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined)
    .map(({ spec }) => spec.containers[0]?.image ?? '')
}
const replicas = (object: string): string =>
  cluster.typed('get', object, '--namespace', namespace, '--output', 'jsonpath={.spec.replicas}')
const annotation = (object: string, name: string): string =>
  cluster.typed(
    'get',
    object,
    '--namespace',
    namespace,
    '--output',
    `jsonpath={.metadata.annotations.${name.replaceAll('.', '\\.')}}`,
  )

serviceContract('kubernetes', async () => {
  await fresh()
  await workload('api', { image: UNKNOWN, replicas: 0 })
  return {
    service: serviceOf(['deployment/api']),
    tellsExistence: false,
    running: () => running('api')[0]?.replace(`${IMAGE}:`, ''),
    close: left,
  }
})

consumerContract('kubernetes', async () => {
  await fresh()
  await workload('orders', { replicas: 2 })
  return {
    consumer: consumerOf(['deployment/orders']),
    state: () => (running('orders').length > 0 ? 'running' : 'paused'),
    close: left,
  }
})

describe('a consumer of Kubernetes', () => {
  beforeEach(fresh)
  afterEach(left)

  test('comes back with as many pods as it had, whatever kind of workload it is', async () => {
    await workload('orders', { replicas: 3 })
    await workload('stock', { kind: 'StatefulSet', replicas: 2 })
    const consumer = consumerOf(['deployment/orders', 'statefulset/stock'])
    await consumer.pause(fence)
    expect([annotation('deployment/orders', 'headgate.dev/replicas'), replicas('deployment/orders')]).toEqual([
      '3',
      '0',
    ])
    await proveQuiet(consumer, { withinMs: 60_000, signal })
    expect([running('orders'), running('stock')]).toEqual([[], []])
    await consumer.resume(fence)
    expect([running('orders').length, running('stock').length]).toEqual([3, 2])
    expect(annotation('deployment/orders', 'headgate.dev/replicas')).toBe('')
  })

  test('has something in flight as long as a pod of it is ending', async () => {
    await workload('orders')
    const consumer = consumerOf(['deployment/orders'])
    cluster.node.lingerMs = 3_000
    await consumer.pause(fence)
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 1 })
    await expect.poll(() => consumer.state(signal), { timeout: 60_000 }).toEqual({ state: 'paused', inFlight: 0 })
  })

  test('that somebody had scaled to nothing stays so', async () => {
    await workload('orders', { replicas: 0 })
    const consumer = consumerOf(['deployment/orders'])
    expect(await consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    await consumer.pause(fence)
    await consumer.resume(fence)
    expect(replicas('deployment/orders')).toBe('0')
  })

  test('that somebody scales while it is paused keeps what he wants', async () => {
    await workload('orders', { replicas: 3 })
    const consumer = consumerOf(['deployment/orders'])
    await consumer.pause(fence)
    cluster.typed('scale', 'deployment/orders', '--replicas', '1', '--namespace', namespace)
    await consumer.resume(fence)
    expect(replicas('deployment/orders')).toBe('1')
    expect(annotation('deployment/orders', 'headgate.dev/replicas')).toBe('')
  })

  test('of which one part is scaled to nothing is refused', async () => {
    await workload('orders')
    await workload('stock', { replicas: 0 })
    expect((await failureOf(consumerOf(['deployment/orders', 'deployment/stock']).state(signal)))?.message).toContain(
      'deployment/orders runs, deployment/stock has no replicas',
    )
  })

  test('is not woken by an autoscaler of Kubernetes', async () => {
    await workload('orders', { replicas: 2 })
    cluster.typed('autoscale', 'deployment/orders', '--min=1', '--max=5', '--namespace', namespace)
    const consumer = consumerOf(['deployment/orders'])
    await consumer.pause(fence)
    const disabled = 'jsonpath={.status.conditions[?(@.reason=="ScalingDisabled")].type}'
    const said = () => cluster.typed('get', 'hpa/orders', '--namespace', namespace, '--output', disabled)
    await expect.poll(said, { timeout: 60_000 }).toBe('ScalingActive')
    expect(replicas('deployment/orders')).toBe('0')
    await consumer.resume(fence)
    expect(replicas('deployment/orders')).toBe('2')
  })

  const scaled = (name: string, annotations: object = {}): void =>
    cluster.apply(
      JSON.stringify({
        ...{ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name, namespace, annotations } },
        spec: { scaleTargetRef: { name } },
      }),
    )

  test('is not woken by KEDA, which goes on after it', async () => {
    await workload('orders')
    await workload('other')
    scaled('orders')
    scaled('other')
    const consumer = consumerOf(['deployment/orders'])
    expect(await consumer.undoneBy?.(signal)).toEqual([])
    await consumer.pause(fence)
    expect(annotation('scaledobject/orders', 'autoscaling.keda.sh/paused')).toBe('true')
    expect(annotation('scaledobject/other', 'autoscaling.keda.sh/paused')).toBe('')
    await consumer.resume(fence)
    expect(annotation('scaledobject/orders', 'autoscaling.keda.sh/paused')).toBe('')
    expect(annotation('scaledobject/orders', 'headgate.dev/paused')).toBe('')
  })

  test('that KEDA has at nothing is held all the same: it would get pods with the next message', async () => {
    await workload('orders', { replicas: 0 })
    scaled('orders')
    const consumer = consumerOf(['deployment/orders'])
    expect((await consumer.state(signal)).state).toBe('running')
    await consumer.pause(fence)
    await proveQuiet(consumer, { withinMs: 60_000, signal })
    expect(annotation('scaledobject/orders', 'autoscaling.keda.sh/paused')).toBe('true')
    await consumer.resume(fence)
    expect((await consumer.state(signal)).state).toBe('running')
    expect(annotation('scaledobject/orders', 'autoscaling.keda.sh/paused')).toBe('')
    expect(replicas('deployment/orders')).toBe('0')
  })

  test('that KEDA was told to leave alone is left so after it', async () => {
    await workload('orders')
    scaled('orders', { 'autoscaling.keda.sh/paused': 'true' })
    const consumer = consumerOf(['deployment/orders'])
    await consumer.pause(fence)
    await consumer.resume(fence)
    expect(annotation('scaledobject/orders', 'autoscaling.keda.sh/paused')).toBe('true')
  })

  test('that KEDA keeps at a number is told of before anything is paused', async () => {
    await workload('orders')
    scaled('orders', { 'autoscaling.keda.sh/paused-replicas': '4' })
    expect((await consumerOf(['deployment/orders']).undoneBy?.(signal))?.join()).toContain(
      'KEDA keeps deployment/orders',
    )
  })

  test('that Argo CD would bring back is told of, unless its application ignores replicas', async () => {
    await workload('orders')
    const rights = (group: string, resource: string) => ({
      rules: [{ apiGroups: [group], resources: [resource], verbs: ['list'] }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: namespace },
      subjects: [{ kind: 'User', name: 'headgate' }],
    })
    const { rules, roleRef, subjects } = rights('argoproj.io', 'applications')
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: namespace } }
    const application = (ignoreDifferences: object[]): void =>
      cluster.apply(
        JSON.stringify({
          ...{ apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name: namespace, namespace } },
          spec: {
            syncPolicy: { automated: {}, syncOptions: ['RespectIgnoreDifferences=true'] },
            ignoreDifferences,
          },
          status: { resources: [{ group: 'apps', kind: 'Deployment', name: 'orders', namespace }] },
        }),
      )
    application([])
    const [consumer, service] = [consumerOf(['deployment/orders']), serviceOf(['deployment/orders'])]
    // What may not be read is not known.
    expect(await consumer.undoneBy?.(signal)).toEqual([])
    cluster.apply(JSON.stringify({ ...rbac, kind: 'ClusterRole', rules }))
    cluster.apply(JSON.stringify({ ...rbac, kind: 'ClusterRoleBinding', roleRef, subjects }))
    await expect
      .poll(async () => (await consumer.undoneBy?.(signal))?.join(), { timeout: 30_000 })
      .toContain(`Argo CD's application ${namespace} syncs by itself, and would undo the replicas of deployment/orders`)
    expect(await consumerOf(['deployment/orders'], { argocd: 'ignore' }).undoneBy?.(signal)).toEqual([])
    application([{ group: 'apps', kind: 'Deployment', jsonPointers: ['/spec/replicas'] }])
    expect(await consumer.undoneBy?.(signal)).toEqual([])
    expect((await service.undoneBy?.(signal))?.join()).toContain('would undo the image of deployment/orders')
  })
})

describe('services of Kubernetes', () => {
  beforeEach(fresh)
  afterEach(left)

  test('are deployed together, the containers that only prepare too, and what others run beside them stays', async () => {
    cluster.node.push('registry.test/proxy:1', '7')
    await workload('api', {
      more: {
        initContainers: [{ name: 'wait', image: `${IMAGE}:v1` }],
        containers: [
          { name: 'app', image: `${IMAGE}:v1` },
          { name: 'proxy', image: 'registry.test/proxy:1' },
        ],
      },
    })
    await workload('jobs', { kind: 'StatefulSet', replicas: 2 })
    const service = serviceOf(['deployment/api', 'statefulset/jobs'])
    expect(await service.current(signal)).toBe('v1')
    await service.deploy('v2', fence)
    expect([...running('api'), ...running('jobs')]).toEqual(Array(3).fill(`${IMAGE}:v2`))
    const images = 'jsonpath={.spec.template.spec.initContainers[0].image} {.spec.template.spec.containers[1].image}'
    expect(cluster.typed('get', 'deployment/api', '--namespace', namespace, '--output', images)).toBe(
      `${IMAGE}:v2 registry.test/proxy:1`,
    )
    expect(await service.current(signal)).toBe('v2')
  })

  test('of which somebody has one at nothing come back without it', async () => {
    await workload('api', { replicas: 2 })
    await workload('jobs', { replicas: 0 })
    const service = serviceOf(['deployment/api', 'deployment/jobs'])
    await service.stop(fence)
    await service.start(fence)
    await service.deploy('v2', fence)
    expect([replicas('deployment/api'), replicas('deployment/jobs')]).toEqual(['2', '0'])
    expect(await service.current(signal)).toBe('v2')
  })

  test('that KEDA has at nothing are stopped, and let go after it', async () => {
    await workload('api', { replicas: 0 })
    cluster.apply(
      JSON.stringify({
        ...{ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'api', namespace } },
        spec: { scaleTargetRef: { name: 'api' } },
      }),
    )
    const service = serviceOf(['deployment/api'])
    expect(await service.isRunning(signal)).toBe(true)
    await service.stop(fence)
    expect(await service.isRunning(signal)).toBe(false)
    await service.start(fence)
    expect(await service.isRunning(signal)).toBe(true)
    expect(replicas('deployment/api')).toBe('0')
  })

  test('are on no tag while they are on two', async () => {
    await workload('api')
    await workload('jobs', { image: `${IMAGE}:v2` })
    expect(await serviceOf(['deployment/api', 'deployment/jobs']).current(signal)).toBeUndefined()
  })

  test('get the image of then back, whatever its tag names by now', async () => {
    await workload('api', { replicas: 2 })
    const service = serviceOf(['deployment/api'])
    const then = await service.currentImage?.(signal)
    expect(then).toBe(`sha256:${'1'.repeat(64)}`)
    await service.deploy('v2', fence)
    cluster.node.push(`${IMAGE}:v1-as-it-was`, '1')
    cluster.node.push(`${IMAGE}:v1`, '8')
    await service.deploy('v1', fence, then)
    expect(running('api')).toEqual(Array(2).fill(`${IMAGE}@${then}`))
    expect(await service.current(signal)).toBe('v1')
    expect(await service.currentImage?.(signal)).toBe(then)
    // By its tag again, with the next release.
    await service.deploy('v2', fence)
    expect(await service.current(signal)).toBe('v2')
  })

  test('that were stopped come back as many as they were, with the next image', async () => {
    await workload('api', { replicas: 3 })
    const service = serviceOf(['deployment/api'])
    cluster.node.lingerMs = 1_000
    await service.stop(fence)
    expect(cluster.typed('get', 'pods', '--namespace', namespace, '--output', 'name')).toBe('')
    await service.deploy('v2', fence)
    expect(running('api')).toEqual(Array(3).fill(`${IMAGE}:v2`))
    expect(annotation('deployment/api', 'headgate.dev/replicas')).toBe('')
  })

  test('that never get ready are told of with what their pods say', async () => {
    await workload('api')
    const failed = await failureOf(serviceOf(['deployment/api']).deploy('v9', fence))
    expect(failed).toMatchObject({ code: 'ServiceFailed' })
    expect(failed?.message).toContain(`app ErrImagePull: ${IMAGE}:v9: not found`)
    expect(running('api')).toEqual([`${IMAGE}:v1`])
  })

  test('that somebody changes at the same time are changed all the same', async () => {
    await workload('api')
    let isOver = false
    const others = (async () => {
      for (let n = 0; !isOver; n++) {
        const patch = { metadata: { annotations: { n: String(n) } } }
        await cluster.api(
          'PATCH',
          `/apis/apps/v1/namespaces/${namespace}/deployments/api`,
          patch,
          'application/merge-patch+json',
        )
        await pause(200)
      }
    })()
    await serviceOf(['deployment/api']).stop(fence)
    isOver = true
    await others
    expect(annotation('deployment/api', 'headgate.dev/replicas')).toBe('1')
  })

  test('that have been scaled to nothing by somebody are not started: nobody knows how many there were', async () => {
    await workload('api', { replicas: 0 })
    expect((await failureOf(serviceOf(['deployment/api']).start(fence)))?.message).toContain('nobody noted how many')
  })

  test.each<[string, () => Service, object]>([
    [
      'of which there is none',
      () => serviceOf(['deployment/nobody']),
      { code: 'ConfigurationInvalid', message: expect.stringContaining('has no deployment/nobody') },
    ],
    [
      'in a namespace that is not theirs',
      () => serviceOf(['deployment/api'], { namespace: 'default' }),
      { code: 'RightsMissing', message: expect.stringContaining('namespace default') },
    ],
    [
      'of whom the cluster knows nobody',
      () => serviceOf(['deployment/api'], { context: 'stranger' }),
      { code: 'RightsMissing' },
    ],
    [
      'with a context that is not there',
      () => serviceOf(['deployment/api'], { context: 'moon' }),
      { code: 'ConfigurationInvalid', message: expect.stringContaining('moon') },
    ],
    [
      'where nobody answers',
      () => serviceOf(['deployment/api'], { command: [cluster.kubectl, '--server', 'https://127.0.0.1:4'] }),
      { code: 'EngineUnreachable' },
    ],
    ['without kubectl', () => serviceOf(['deployment/api'], { command: ['no-such-kubectl'] }), { code: 'ToolMissing' }],
    [
      'without a container of that image',
      () => serviceOf(['deployment/api'], { image: 'registry.test/other:{tag}' }),
      { code: 'ConfigurationInvalid', message: expect.stringContaining(`they have ${IMAGE}:v1`) },
    ],
  ])('%s are told of as that', async (_, make, failed) => {
    await workload('api')
    expect(await failureOf(make().current(signal))).toMatchObject(failed)
  })
})
