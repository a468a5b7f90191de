import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { execa, execaSync } from 'execa'
import { freePort } from '../../src/adapters/process/free-port.js'
import { cacheFolder } from '../../src/adapters/process/install-once.js'
import { kubernetesIn } from './kubernetes-programs.js'

const ADMIN = 'admin-token'
const HEADGATE = 'headgate-token'
/** As it is written in the documentation; bound to the user that the adapters call the cluster as. */
const RIGHTS = /```yaml\n(apiVersion: rbac[\s\S]*?)```/g

/** The API: method, path, body. Throws what the server says. */
type Api = <T = unknown>(method: string, path: string, body?: unknown, type?: string) => Promise<T>

/**
 * A control plane of Kubernetes: etcd, API server, and the controllers of workloads; and a node in place of a real one, which says of
 * each pod what a kubelet would say. Takes Go once.
 */
export class Kubernetes {
  readonly kubeconfig: string
  readonly api: Api
  readonly node: Node
  readonly #kubectl: string
  readonly #folder: string
  readonly #processes: Launched[]

  private constructor(made: {
    kubeconfig: string
    api: Api
    kubectl: string
    folder: string
    processes: Launched[]
  }) {
    this.kubeconfig = made.kubeconfig
    this.api = made.api
    this.node = new Node(made.api)
    this.#kubectl = made.kubectl
    this.#folder = made.folder
    this.#processes = made.processes
  }

  static async start(): Promise<Kubernetes> {
    const programs = await kubernetesIn(cacheFolder())
    const folder = await mkdtemp(join(tmpdir(), 'hg-kubernetes-'))
    const [clients, peers, port] = [await freePort(), await freePort(), await freePort()]
    const at = (name: string): string => join(folder, name)
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    await writeFile(at('accounts.key'), privateKey, { mode: 0o600 })
    await writeFile(at('accounts.pub'), publicKey)
    await writeFile(at('tokens.csv'), `${ADMIN},admin,1,"system:masters"\n${HEADGATE},headgate,2\n`, { mode: 0o600 })
    await mkdir(at('certificates'))
    const store = `http://127.0.0.1:${clients}`
    const peer = `http://127.0.0.1:${peers}`
    const etcd = launch(join(programs, 'etcd'), [
      ...['--data-dir', at('etcd'), '--listen-client-urls', store, '--advertise-client-urls', store],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
      '--unsafe-no-fsync',
    ])
    const server = launch(join(programs, 'kube-apiserver'), [
      ...['--etcd-servers', store, '--secure-port', String(port), '--bind-address', '127.0.0.1'],
      ...['--cert-dir', at('certificates'), '--token-auth-file', at('tokens.csv'), '--authorization-mode', 'RBAC'],
      ...['--service-account-issuer', 'https://kubernetes.default.svc', '--service-cluster-ip-range', '10.0.0.0/24'],
      ...['--service-account-key-file', at('accounts.pub'), '--service-account-signing-key-file', at('accounts.key')],
      ...['--endpoint-reconciler-type', 'none', '--disable-admission-plugins', 'ServiceAccount'],
    ])
    const processes = [etcd, server]
    const certificate = at('certificates/apiserver.crt')
    const api = apiOf(port, () => readFile(certificate, 'utf8'))
    const isReady = (): Promise<boolean> =>
      api('GET', '/readyz').then(
        () => true,
        () => false,
      )
    while (!(await isReady())) {
      const over = processes.find(({ exitCode }) => exitCode !== null)
      if (over) throw new Error(`${over.spawnfile} ended: ${(await over).all?.slice(-2_000)}`)
      await pause(100)
    }
    const kubeconfig = at('kubeconfig')
    await writeFile(kubeconfig, configOf(port, certificate), { mode: 0o600 })
    processes.push(
      launch(join(programs, 'kube-controller-manager'), [
        ...['--kubeconfig', kubeconfig, '--leader-elect=false', '--secure-port', '0'],
        ...[
          '--controllers',
          'deployment-controller,replicaset-controller,statefulset-controller,horizontal-pod-autoscaler-controller,garbage-collector-controller',
        ],
        ...['--horizontal-pod-autoscaler-sync-period', '1s', '--kube-api-qps', '500', '--kube-api-burst', '1000'],
      ]),
    )
    const started = new Kubernetes({ kubeconfig, api, kubectl: join(programs, 'kubectl'), folder, processes })
    started.node.run()
    return started
  }

  get kubectl(): string {
    return this.#kubectl
  }

  /** As an administrator types it. */
  typed(...words: string[]): string {
    return execaSync(this.#kubectl, ['--kubeconfig', this.kubeconfig, '--context', 'admin', ...words]).stdout
  }

  /** Not at once, as `typed`: the node has to do its part meanwhile. */
  async rollout(object: string, namespace: string): Promise<void> {
    const words = ['rollout', 'status', object, '--namespace', namespace, '--timeout', '60s']
    await execa(this.#kubectl, ['--kubeconfig', this.kubeconfig, '--context', 'admin', ...words])
  }

  apply(manifest: string): void {
    const words = ['--kubeconfig', this.kubeconfig, '--context', 'admin', 'apply', '--filename', '-']
    execaSync(this.#kubectl, words, { input: manifest })
  }

  /** A namespace of its own, where `headgate` has the rights of the documentation. */
  async namespace(name: string): Promise<void> {
    await this.api('POST', '/api/v1/namespaces', { metadata: { name } })
    const page = await readFile(new URL('../../docs/services.md', import.meta.url), 'utf8')
    for (const [, manifest = ''] of page.matchAll(RIGHTS)) this.apply(manifest.replaceAll('NAMESPACE', name))
  }

  async end(): Promise<void> {
    this.node.end()
    for (const running of this.#processes.toReversed()) {
      running.kill('SIGTERM')
      await running
    }
    await rm(this.#folder, { recursive: true, force: true })
  }
}

const launch = (program: string, words: string[]) => execa(program, words, QUIET)
type Launched = ReturnType<typeof launch>
const QUIET = { all: true, reject: false, forceKillAfterDelay: 5_000, maxBuffer: 10_000_000 } as const

const configOf = (port: number, certificate: string): string =>
  JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'admin' },
    clusters: [
      { name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': certificate } },
    ],
    users: [
      { name: 'admin', user: { token: ADMIN } },
      { name: 'headgate', user: { token: HEADGATE } },
      { name: 'stranger', user: { token: 'nobody' } },
    ],
    contexts: ['admin', 'headgate', 'stranger'].map((user) => ({ name: user, context: { cluster: 'test', user } })),
  })

function apiOf(port: number, certificate: () => Promise<string>): Api {
  return async (method, path, body, type = 'application/json') => {
    const ca = await certificate()
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${ADMIN}`, ...(text === undefined ? {} : { 'content-type': type }) }
      const asked = request({ host: '127.0.0.1', port, path, method, ca, headers }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part) => parts.push(part))
        response.on('end', () => {
          const said = Buffer.concat(parts).toString()
          if ((response.statusCode ?? 0) < 300) resolve(path === '/readyz' ? said : JSON.parse(said))
          else reject(new Error(`${response.statusCode} ${method} ${path}: ${said.slice(0, 500)}`))
        })
      })
      asked.on('error', reject)
      asked.end(text)
    })
  }
}

interface Pod {
  metadata: { name: string; namespace: string; uid: string; deletionTimestamp?: string }
  spec: { containers: { name: string; image: string }[] }
  status: { phase?: string; containerStatuses?: { image: string }[] }
}

const LOOK_MS = 50

/** What a node is to the API: it pulls images from a registry, starts what is given to it, and ends it. */
class Node {
  readonly #api: Api
  /** Digests by whole image name, as a registry has them: `registry/api:v1`. */
  readonly registry = new Map<string, string>()
  /** How long a pod goes on after it was told to end. */
  lingerMs = 0
  /** Pods of these images run, and never get ready. */
  readonly broken = new Set<string>()
  #isOver = false
  readonly #ending = new Map<string, number>()

  constructor(api: Api) {
    this.#api = api
  }

  /** `registry/api:v1` with this content from now on. */
  push(image: string, digit: string): void {
    this.registry.set(image, `sha256:${digit.repeat(64)}`)
  }

  run(): void {
    void (async () => {
      while (!this.#isOver) {
        await this.#look().catch(() => {})
        await pause(LOOK_MS)
      }
    })()
  }

  end(): void {
    this.#isOver = true
  }

  async #look(): Promise<void> {
    const { items } = await this.#api<{ items: Pod[] }>('GET', '/api/v1/pods')
    await Promise.all(
      items.map((pod) => (pod.metadata.deletionTimestamp ? this.#ended(pod) : this.#started(pod)).catch(() => {})),
    )
  }

  async #ended({ metadata: { name, namespace, uid } }: Pod): Promise<void> {
    const since = this.#ending.get(uid) ?? performance.now()
    this.#ending.set(uid, since)
    if (performance.now() - since < this.lingerMs) return
    await this.#api('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}?gracePeriodSeconds=0`)
  }

  /** By name or by digest, as a runtime takes it. */
  #digestOf(image: string): string | undefined {
    const [name = '', digest] = image.split('@')
    if (digest === undefined) return this.registry.get(image)
    const repository = name.replace(/:[^:/]*$/, '')
    return [...this.registry].some(([one, has]) => one.startsWith(`${repository}:`) && has === digest)
      ? digest
      : undefined
  }

  async #started({ metadata: { name, namespace }, spec, status }: Pod): Promise<void> {
    if (status.phase === 'Running') return
    const pulled = spec.containers.map(({ name: container, image }) => ({
      container,
      image,
      digest: this.#digestOf(image),
    }))
    const isReady = pulled.every(({ image, digest }) => digest !== undefined && !this.broken.has(image))
    const isPulled = pulled.every(({ digest }) => digest !== undefined)
    const said = pulled.map(({ container, image, digest }) => ({
      ...{ name: container, image, ready: isReady, restartCount: 0 },
      imageID: digest === undefined ? '' : `docker-pullable://${image.replace(/[:@][^/]*$/, '')}@${digest}`,
      state:
        digest === undefined
          ? { waiting: { reason: 'ErrImagePull', message: `${image}: not found` } }
          : { running: { startedAt: new Date().toISOString() } },
    }))
    if (!isPulled && status.containerStatuses) return
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: isReady ? 'True' : 'False' }))
    await this.#api(
      'PATCH',
      `/api/v1/namespaces/${namespace}/pods/${name}/status`,
      { status: { phase: isPulled ? 'Running' : 'Pending', conditions, containerStatuses: said } },
      'application/merge-patch+json',
    )
  }
}
