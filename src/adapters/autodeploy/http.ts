import type { AutodeployConfiguration } from '../../domain/configuration.js'
import type { AutodeployContext, Held } from './port.js'
import { change, type Rest, read } from './rest.js'
import { SaidState } from './said-state.js'

/** Anything with three URLs: POST to hold, POST to release, GET for its state. */
export function http(
  { hold, release, status, headers }: Extract<AutodeployConfiguration, { kind: 'http' }>,
  { secrets }: AutodeployContext,
): Held {
  const calls = new URL(status).host
  const rest: Rest = { who: `autodeploy ${calls}`, headers, secrets }
  return {
    calls,
    state: (signal) => read(rest, status, SaidState, signal),
    hold: (fence) => change(rest, 'POST', hold, fence, { isRelease: false }),
    release: (fence) => change(rest, 'POST', release, fence, { isRelease: true }),
  }
}
