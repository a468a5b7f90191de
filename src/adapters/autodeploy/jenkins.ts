import { z } from 'zod'
import type { AutodeployConfiguration } from '../../domain/configuration.js'
import type { AutodeployContext, Held } from './port.js'
import { change, type Rest, read } from './rest.js'

const Job = z.object({
  disabled: z.boolean().optional(),
  buildable: z.boolean(),
  inQueue: z.boolean().optional(),
  builds: z.array(z.object({ building: z.boolean() })).default([]),
})
const ASKED = 'tree=disabled,buildable,inQueue,builds[building]{0,50}'

/**
 * A job of Jenkins, disabled and enabled: www.jenkins.io/doc/book/using/remote-access-api. With an API token no crumb is asked
 * for. Its answer to a change is a redirect to the job's page.
 */
export function jenkins(
  { url, user, token }: Extract<AutodeployConfiguration, { kind: 'jenkins' }>,
  { secrets }: AutodeployContext,
): Held {
  const at = url.replace(/\/$/, '')
  const calls = new URL(at).pathname
  const rest: Rest = {
    who: `jenkins ${calls}`,
    headers: { authorization: `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}` },
    secrets: [...secrets, token],
    hintOf: ({ status }) => HINTS[status],
  }
  const set = (verb: 'disable' | 'enable') => `${at}/${verb}`
  return {
    calls,
    async state(signal) {
      const { disabled, buildable, inQueue = false, builds } = await read(rest, `${at}/api/json?${ASKED}`, Job, signal)
      const running = builds.filter(({ building }) => building).length + (inQueue ? 1 : 0)
      return { state: (disabled ?? !buildable) ? 'held' : 'on', running }
    },
    hold: (fence) => change({ ...rest, accepts: [302] }, 'POST', set('disable'), fence, { isRelease: false }),
    release: (fence) => change({ ...rest, accepts: [302] }, 'POST', set('enable'), fence, { isRelease: true }),
  }
}

const HINTS: Record<number, string> = {
  401: 'user and token do not belong together',
  403: "the user needs Job/Configure on the job; its token must be an API token, not the user's password",
  404: 'url is that of the job: https://jenkins.example.com/job/FOLDER/job/NAME',
}
