import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { ANY_TAG, changeByCompose, containersOf } from '../process/compose.js'
import type { Consumer, ConsumerContext } from './port.js'

/**
 * Services of a Compose project. They are stopped, never frozen: a frozen process keeps its locks, its sessions and its part of
 * the topic. What is stopped has nothing in flight.
 */
export function compose(
  name: string,
  { services, within, ...project }: Extract<ConsumerConfiguration, { kind: 'compose' }>,
  { secrets }: ConsumerContext,
): Consumer {
  const change = async (
    verb: 'stop' | 'start',
    code: 'ConsumerNotQuiet' | 'ConsumerNotMoving',
    fence: Fence,
  ): Promise<void> => {
    const request = { tag: ANY_TAG, timeoutMs: within, secrets }
    const { exitCode, stderr } = await changeByCompose(project, [verb, ...services], request, fence)
    const said = `consumer ${name}: compose ${verb} ended with exit code ${exitCode}: ${excerpt(stderr, secrets)}`
    if (exitCode !== 0) throw failure(code, said, undefined, { evidence: stderr })
  }

  return {
    name,
    async state(signal) {
      const found = await containersOf(project, services, signal)
      const all = found.filter(({ isByHand }) => !isByHand)
      const frozen = all.filter(({ isFrozen }) => isFrozen).map(({ service }) => service)
      // Who is stopped and started is not frozen after it: somebody's own pause would be lifted.
      if (frozen.length > 0)
        throw failure(
          'ConsumerNotQuiet',
          `consumer ${name}: ${frozen.join(', ')} is frozen (docker compose pause): unpause or stop it`,
        )
      const running = services.filter((service) => all.some((one) => one.service === service && one.isRunning))
      const stopped = services.filter(
        (service) => all.some((one) => one.service === service) && !running.includes(service),
      )
      const unmade = services.filter((service) => !running.includes(service) && !stopped.includes(service))
      if (unmade.length > 0)
        throw failure(
          'ConsumerNotQuiet',
          `consumer ${name}: ${unmade.join(', ')} has no container: it was never started`,
        )
      // As one they are paused and resumed: who resumed them would start what somebody had stopped.
      if (running.length > 0 && stopped.length > 0)
        throw failure(
          'ConsumerNotQuiet',
          `consumer ${name}: ${running.join(', ')} runs, ${stopped.join(', ')} is stopped: start or stop all, or write them as consumers of their own`,
        )
      // Nobody stops with its service what somebody runs of it by hand, and it may take messages.
      const byHand = found.filter((one) => one.isByHand && one.isRunning).length
      return running.length > 0 ? { state: 'running', inFlight: 0 } : { state: 'paused', inFlight: byHand }
    },
    pause: (fence) => change('stop', 'ConsumerNotQuiet', fence),
    resume: (fence) => change('start', 'ConsumerNotMoving', fence),
  }
}
