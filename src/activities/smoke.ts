import { proveCheck } from '../adapters/check/prove.js'
import { failure } from '../domain/failures.js'
import { changing } from './changing.js'
import type { Dependencies } from './site.js'

/** Asks the services what a customer would ask them. */
export const smoke = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'smoke',
    idle: ({ site }) => (site.smoke.length === 0 ? 'no smoke checks are configured' : undefined),
    observe: async () => undefined,
    act: async ({ site, plan, run, stage, fence }) => {
      const context = { tag: plan.tag, expectedVersion: stage?.target, ignoring: [], run: run.name }
      for (const check of site.smoke) {
        fence.progress(`check ${check.name}`)
        const result = await proveCheck(check, context, { signal: fence.signal })
        if (!result.ok) throw failure('SmokeFailed', `${check.name}: ${result.found}`)
      }
      return `${site.smoke.length} positive`
    },
  })
