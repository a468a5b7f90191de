import { z } from 'zod'
import type { AutodeployConfiguration } from '../../domain/configuration.js'
import type { AutodeployContext, Held } from './port.js'
import { change, type Rest, read } from './rest.js'

const Workflow = z.object({ state: z.string() })
const Runs = z.object({ total_count: z.int() })

/** In each of these a run of the workflow deploys, or will: one that waits is begun by whoever approves it. */
const UNDER_WAY = ['requested', 'queued', 'pending', 'waiting', 'in_progress'] as const

/**
 * A workflow of GitHub Actions, disabled and enabled: docs.github.com/rest/actions/workflows. A fine-grained token needs
 * *Actions: write* on the repository.
 */
export function github(
  { url, repository, workflow, token }: Extract<AutodeployConfiguration, { kind: 'github' }>,
  { secrets }: AutodeployContext,
): Held {
  const calls = `${repository} ${workflow}`
  const at = `${url.replace(/\/$/, '')}/repos/${repository}/actions/workflows/${encodeURIComponent(workflow)}`
  const rest: Rest = {
    who: `github ${calls}`,
    headers: {
      accept: 'application/vnd.github+json',
      authorization: `Bearer ${token}`,
      'x-github-api-version': '2022-11-28',
      // Requests without one are refused.
      'user-agent': 'headgate',
    },
    secrets: [...secrets, token],
    hintOf: ({ status }) => HINTS[status],
  }
  return {
    calls,
    async state(signal) {
      const { state } = await read(rest, at, Workflow, signal)
      let running = 0
      // One after the other, in the order in which a run comes through them: one that moves on meanwhile is seen twice, never not.
      for (const status of UNDER_WAY)
        running += (await read(rest, `${at}/runs?status=${status}&per_page=1`, Runs, signal)).total_count
      return { state: state === 'active' ? 'on' : 'held', running }
    },
    hold: (fence) => change(rest, 'PUT', `${at}/disable`, fence, { isRelease: false }),
    release: (fence) => change(rest, 'PUT', `${at}/enable`, fence, { isRelease: true }),
  }
}

const HINTS: Record<number, string> = {
  401: 'the token is not valid any more',
  403: 'the token needs the permission to write Actions on the repository',
  404: 'look at repository and workflow; a token that may not see the repository is told that it is not there',
}
