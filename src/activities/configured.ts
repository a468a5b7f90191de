import type { Autodeploy } from '../adapters/autodeploy/port.js'
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

/** As `requireServices`, of consumers and of what deploys by itself too. */
export function requireEverything({ site, plan }: Planned): void {
  const consumers = plan.consumers.filter((name) => !consumerOf(site, name))
  const services = touched(plan).filter((name) => !serviceOf(site, name))
  const autodeploys = (plan.autodeploys ?? []).filter((name) => !autodeployOf(site, name))
  requireNone([
    ...consumers.map((name) => `consumer ${name}`),
    ...services.map((name) => `service ${name}`),
    ...autodeploys.map((name) => `autodeploy ${name}`),
  ])
}

function requireNone(missing: readonly string[]): void {
  if (missing.length > 0)
    throw failure('PlanStale', `the plan has ${missing.join(', ')}, headgate.yaml has not any more`)
}

export const consumerOf = (site: Site, name: string): Consumer | undefined =>
  site.consumers.find((consumer) => consumer.name === name)

export const autodeployOf = (site: Site, name: string): Autodeploy | undefined =>
  site.autodeploys.find((autodeploy) => autodeploy.name === name)

export const serviceOf = (site: Site, name: string): SiteService | undefined =>
  site.services.find(({ service }) => service.name === name)
