import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { freePort } from '../../src/adapters/process/free-port.js'
import { installOnce } from '../../src/adapters/process/install-once.js'
import { runInstaller } from '../../src/adapters/process/installer.js'

const KAFKA = '4.1.0'
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>${['kafka_2.13', 'connect-runtime', 'connect-file', 'kafka-tools']
    .map(
      (name) =>
        `<dependency><groupId>org.apache.kafka</groupId><artifactId>${name}</artifactId><version>${KAFKA}</version></dependency>`,
    )
    .join('')}</dependencies>
</project>`

/** A program on the Java machine that goes on until it is ended. */
interface Running {
  /** TERM, then its end; twice is once. */
  end(): Promise<void>
  kill(): Promise<void>
}

export interface Broker extends Running {
  address: string
  folder: string
  libraries: string
}

export interface Connect extends Running {
  url: string
}

/** A Kafka of one broker, in a folder of its own. Takes Java, and Maven once. */
export async function startKafka(cache: string): Promise<Broker> {
  const libraries = await librariesIn(cache)
  const folder = await mkdtemp(join(tmpdir(), 'hg-kafka-'))
  const [port, controller] = [await freePort(), await freePort()]
  const address = `127.0.0.1:${port}`
  const file = await properties(folder, 'server', {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://${address},CONTROLLER://127.0.0.1:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    'advertised.listeners': `PLAINTEXT://${address}`,
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'offsets.topic.num.partitions': 1,
    'num.partitions': 2,
  })
  const id = randomBytes(16).toString('base64url')
  await execa('java', ['-cp', libraries, 'kafka.tools.StorageTool', 'format', '-t', id, '-c', file])
  const running = await java(libraries, ['kafka.Kafka', file], () => listens(port))
  return {
    ...{ ...running, address, folder, libraries },
    end: async () => {
      await running.end()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A worker of Kafka Connect with the connectors for files. */
export async function startConnect({ address, folder, libraries }: Broker): Promise<Connect> {
  const url = `http://127.0.0.1:${await freePort()}`
  const topics = Object.fromEntries(
    ['offset', 'config', 'status'].flatMap((name) => [
      [`${name}.storage.topic`, `connect-${name}`],
      [`${name}.storage.replication.factor`, 1],
      ...(name === 'config' ? [] : [[`${name}.storage.partitions`, 1]]),
    ]),
  )
  await mkdir(join(folder, 'plugins'), { recursive: true })
  const file = await properties(folder, 'connect', {
    ...{ 'bootstrap.servers': address, 'group.id': 'connect', listeners: url, ...topics },
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'plugin.path': join(folder, 'plugins'),
    'plugin.discovery': 'only_scan',
    'offset.flush.interval.ms': 500,
    'scheduled.rebalance.max.delay.ms': 0,
  })
  const answers = (): Promise<boolean> =>
    fetch(`${url}/connectors`).then(
      ({ ok }) => ok,
      () => false,
    )
  const running = await java(libraries, ['org.apache.kafka.connect.cli.ConnectDistributed', file], answers)
  return { ...running, url }
}

/** The jars, from Maven (half a minute, once), as a class path. */
async function librariesIn(cache: string): Promise<string> {
  const folder = await installOnce(join(cache, `kafka-tools-${KAFKA}`), async (into) => {
    await writeFile(join(into, 'pom.xml'), POM)
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${join(into, 'libraries')}`]
    await runInstaller(cache, ['mvn', '--quiet', '--batch-mode', '--file', join(into, 'pom.xml'), ...goal])
  })
  return join(folder, 'libraries', '*')
}

async function properties(folder: string, name: string, values: Record<string, string | number>): Promise<string> {
  const file = join(folder, `${name}.properties`)
  await writeFile(
    file,
    Object.entries(values)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  return file
}

/** One of Kafka's own tools, until it is ended. */
export function runTool({ libraries }: Broker, words: string[]): Running {
  return started(libraries, words).running
}

/** Until `isUp`; neither of them says so. */
async function java(libraries: string, words: string[], isUp: () => Promise<boolean>): Promise<Running> {
  const { running, failed } = started(libraries, words)
  for (; !(await isUp()); await pause(100)) failed()
  return running
}

/** `failed` throws once it has ended. */
function started(libraries: string, words: string[]): { running: Running; failed: () => void } {
  const child = execa('java', ['-Xmx512m', '-cp', libraries, ...words], { all: true, reject: false, buffer: false })
  let said = ''
  child.all?.on('data', (data) => {
    said = (said + data).slice(-20_000)
  })
  const gone = (signal: 'SIGTERM' | 'SIGKILL') => async (): Promise<void> => {
    child.kill(signal)
    await child
  }
  return {
    running: { end: gone('SIGTERM'), kill: gone('SIGKILL') },
    failed: () => {
      if (child.exitCode !== null) throw new Error(`${words[0]} ended: ${said}`)
    },
  }
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = dial(port, '127.0.0.1')
    const say = (is: boolean) => (): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', say(true)).once('error', say(false))
  })
