// A worker as a process of its own, so that tests can kill, freeze and wake it: node worker-process.mjs CONFIG HOME ADDRESS
import { readSettings } from '../../dist/adapters/configuration/index.js'
import { startWorker } from '../../dist/worker/worker.js'

const [config, home, address] = process.argv.slice(2)
const settings = readSettings({ ...process.env, HEADGATE_HOME: home }, { config })
const buildId = process.env.BUILD_ID
const queue = process.env.QUEUE
const worker = await startWorker({
  settings,
  address,
  ...(buildId ? { buildId } : {}),
  ...(queue ? { queue } : {}),
  onLine: (line) => console.log(line),
})
process.once('SIGTERM', worker.stop)
await worker.ended
