import { cacheFolder } from '../../src/adapters/process/provision.js'
import { startDocker } from './docker-engine.js'

/** One engine for all files; who runs a program of Docker finds it by the environment, as on any machine. */
export default async function globalDocker(): Promise<() => Promise<void>> {
  const { env, end } = await startDocker(cacheFolder())
  Object.assign(process.env, env)
  return end
}
