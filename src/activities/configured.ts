import type { Consumer } from '../adapters/consumer/port.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import type { Step } from './changing.js'
import type { Site } from './site.js'

type Planned = Pick<Step, 'site' | 'plan'>
export type SiteService = Site['services'][number]

/** Services that the run stops or deploys. */
const touched = (plan: Plan): string[] => [
  ...new Set([...plan.quiesces, ...plan.services.flatMap(({ name, next }) => (next === undefined ? [] : [name]))]),
]

/** Before anything is touched: headgate.yaml may have been edited since the plan was made. Throws `PlanStale`. */
export function requireServices({ site, plan }: Planned): void {
  requireNone(
    touched(plan)
      .filter((name) => !serviceOf(site, name))
      .map((name) => `service ${name}`),
  )
}

/** As `requireServices`, of consumers too. */
export function requireEverything({ site, plan }: Planned): void {
  const consumers = plan.consumers.filter((name) => !consumerOf(site, name))
  const services = touched(plan).filter((name) => !serviceOf(site, name))
  requireNone([...consumers.map((name) => `consumer ${name}`), ...services.map((name) => `service ${name}`)])
}

function requireNone(missing: readonly string[]): void {
  if (missing.length > 0)
    throw failure('PlanStale', `the plan has ${missing.join(', ')}, headgate.yaml has not any more`)
}

export const consumerOf = (site: Site, name: string): Consumer | undefined =>
  site.consumers.find((consumer) => consumer.name === name)

export const serviceOf = (site: Site, name: string): SiteService | undefined =>
  site.services.find(({ service }) => service.name === name)
