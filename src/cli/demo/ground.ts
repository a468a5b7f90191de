import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startAnnouncingProcess } from '../../adapters/process/announcing-process.js'
import { writeKeptDemo } from '../../adapters/process/demo-folder.js'
import { childEnvironment } from '../../adapters/process/environment.js'
import { freePort } from '../../adapters/process/free-port.js'
import type { ServerProcess } from '../../adapters/process/server-process.js'
import { both } from './endings.js'
import { type Occasion, type Servers, startServers } from './servers.js'
import { SHOP, type Shop, shopOf } from './shop.js'

/** Ourselves, as a program. */
export const HEADGATE = fileURLToPath(new URL('../../../bin/headgate.js', import.meta.url))
const READY_WITHIN_MS = 30_000
/** To hear of the orders it has asked for. */
const CLIENT_ENDS_WITHIN_MS = 15_000
/** Once nobody looks any more. */
const END_WITHIN_MS = 1_500
const ORDERS_A_SECOND = 10

type Role = 'worker' | 'consumer' | 'client'

/** Everything real that a demo plays on. */
export class Ground {
  readonly #occasion: Occasion
  readonly #processes = new Map<Role, ServerProcess>()
  readonly servers: Servers
  readonly shop: Shop
  #starts = 0

  private constructor(occasion: Occasion, servers: Servers, shop: Shop) {
    this.#occasion = occasion
    this.servers = servers
    this.shop = shop
  }

  /** Starts servers, shop and worker. What was started is in the occasion's endings, also when this throws. */
  static async lay(occasion: Occasion): Promise<Ground> {
    const servers = await startServers(occasion)
    const { folder, postgres, binaries } = servers
    const shop = shopOf(join(folder, 'shop'), postgres, binaries.directory, await freePort(), await freePort())
    const ground = new Ground(occasion, servers, shop)
    occasion.endings.add('the service', shop.stop)
    await shop.open(occasion.signal)
    await both(ground.startWorker(), ground.#startConsumer())
    await ground.#startClient()
    return ground
  }

  /** Where the Temporal UI shows a workflow's newest execution; all of them without an ID. */
  linkTo(workflowId = ''): string {
    const { temporal, engine } = this.servers
    const all = `${temporal.uiUrl}/namespaces/${engine.namespace}/workflows`
    return workflowId === '' ? all : `${all}/${encodeURIComponent(workflowId)}`
  }

  get workerPid(): number {
    return this.#processes.get('worker')?.pid ?? 0
  }

  /** The programs this demo runs, by what they are. */
  get pids(): { name: string; pid: number }[] {
    const { temporal, postgres } = this.servers
    const programs = [...this.#processes].map(([name, { pid }]) => ({ name, pid }))
    return [...programs, { name: 'Temporal', pid: temporal.pid }, { name: 'PostgreSQL', pid: postgres.pid }]
  }

  /** Returns once it says that it is ready. */
  async startWorker(): Promise<void> {
    const { folder, binaries, temporal } = this.servers
    await this.#start('worker', [HEADGATE, 'worker'], 'worker ready', {
      // Its tools first: pg_dump must be the server's.
      PATH: `${binaries.directory}:${process.env.PATH ?? ''}`,
      // Not the person's own home: profiles kept there may point it at another server.
      HOME: folder,
      HEADGATE_HOME: join(folder, 'headgate'),
      TEMPORAL_ADDRESS: temporal.address,
    })
  }

  /** As a crash would. */
  async killWorker(): Promise<void> {
    await this.#processes.get('worker')?.end('SIGKILL', 0)
  }

  /** It hears of what it has asked for, and orders no more. */
  async endClient(): Promise<void> {
    await this.#processes.get('client')?.end('SIGTERM', CLIENT_ENDS_WITHIN_MS)
    this.#processes.delete('client')
    await this.#record()
  }

  #startConsumer(): Promise<void> {
    return this.#start('consumer', [join(SHOP, 'consumer.mjs'), '--port', String(this.shop.consumerPort)], 'answers on')
  }

  #startClient(): Promise<void> {
    return this.#start('client', [join(SHOP, 'client.mjs'), '--rate', String(ORDERS_A_SECOND)], '')
  }

  async #start(role: Role, command: string[], announcement: string, env: Record<string, string> = {}): Promise<void> {
    const { isKept, endings } = this.#occasion
    this.#starts += 1
    const started = await startAnnouncingProcess({
      name: `the ${role}`,
      command: [process.execPath, ...command],
      env: childEnvironment({ ...this.shop.env, ...env }),
      cwd: SHOP,
      logFile: join(this.servers.folder, 'logs', `${this.#starts}-${role}.log`),
      endSignal: 'SIGTERM',
      detached: isKept,
      ...{ announcement, code: 'Unexpected', withinMs: READY_WITHIN_MS },
    })
    endings.add(`the ${role}`, () => started.end('SIGTERM', END_WITHIN_MS))
    this.#processes.set(role, started)
    await this.#record()
  }

  /** Written with each change: whatever ends this process, a later command finds what it left. */
  async #record(): Promise<void> {
    const { isKept, context } = this.#occasion
    const { postgres, folder } = this.servers
    if (isKept) await writeKeptDemo(context.settings.home, this.pids, [postgres.directory, folder])
  }
}
