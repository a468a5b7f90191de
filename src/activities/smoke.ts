import { proveCheck } from '../adapters/check/prove.js'
import { failure } from '../domain/failures.js'
import { changing, type Step } from './changing.js'
import { deployedIn } from './restart-services.js'
import { after, before } from './running.js'
import { servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'

/** Asks the services what a customer would ask them. */
export const smoke = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'smoke',
    idle: ({ site }) => (site.smoke.length === 0 ? 'no smoke checks are configured' : undefined),
    observe: async (step) =>
      (await areStopped(step)) ? 'not asked: every service was stopped before the run, and is' : undefined,
    act: async (step) => {
      const { site, plan, run, stage, fence } = step
      const expectedVersion = stage?.target ?? plan.from
      const context = { tag: tagInService(step), expectedVersion, ignoring: [], run: run.name }
      for (const check of site.smoke) {
        fence.progress(`check ${check.name}`)
        const result = await proveCheck(check, context, { signal: fence.signal })
        if (!result.ok) throw failure('SmokeFailed', `${check.name}: ${result.found}`)
      }
      return `${site.smoke.length} positive`
    },
  })

/** The tag that services run after this stage; undefined where they run several, or do not tell. */
function tagInService({ plan, stageNumber }: Pick<Step, 'plan' | 'stageNumber'>): string | undefined {
  const isOut = plan.stages.some(({ number, deploysImage }) => deploysImage && number <= stageNumber)
  const tags = plan.services.map((planned) => (isOut ? after(planned) : before(planned)).tag)
  return new Set(tags).size === 1 ? tags[0] : undefined
}

/** A person had stopped every service, and this stage has deployed none: nobody is there to answer. */
async function areStopped(step: Step): Promise<boolean> {
  const { wasStopped } = await servicesBefore(step)
  const names = step.plan.services.map(({ name }) => name)
  return names.length > 0 && deployedIn(step).length === 0 && names.every(wasStopped)
}
