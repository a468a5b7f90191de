import type { Service } from '../adapters/service/port.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import type { Step } from './changing.js'
import { serviceOf } from './configured.js'

/** What a service runs: a tag, and where its kind tells, which image that is: a tag may be moved. */
export interface Running {
  tag?: string | undefined
  image?: string | undefined
}

type Planned = Plan['services'][number]

export async function runningOf(service: Service, signal: AbortSignal): Promise<Running> {
  const tag = await service.current(signal)
  return { tag, image: tag === undefined ? undefined : await service.currentImage?.(signal) }
}

/** Whether that is the tag, and the image where both are known. */
export const isOn = (now: Running, { tag, image }: Running): boolean =>
  now.tag === tag && (now.image === undefined || image === undefined || now.image === image)

/** What a run found, and what it leaves once its image went out. */
export const before = ({ previous, previousImage }: Planned): Running => ({ tag: previous, image: previousImage })
export const after = (planned: Planned): Running =>
  planned.next === undefined ? before(planned) : { tag: planned.next, image: planned.nextImage }

/** A service that has this, and gets nothing else. */
export const having = (name: string, { tag, image }: Running): Planned => ({
  name,
  ...(tag === undefined ? {} : { previous: tag }),
  ...(image === undefined ? {} : { previousImage: image }),
})

/** A service that gets this, whatever it has. */
export const getting = (planned: Planned, tag: string, image: string | undefined): Planned => ({
  ...planned,
  next: tag,
  ...(image === undefined ? {} : { nextImage: image }),
})

/** A service that gets this; one that has it already is left alone. */
export const withNext = (planned: Planned, { tag, image }: Running): Planned =>
  tag === undefined || isOn(before(planned), { tag, image }) ? planned : getting(planned, tag, image)

/**
 * A tag may have been moved since it was planned and approved: what goes out in this stage or after it must be that image still.
 * Throws `PlanStale`. What ran before an earlier run is brought back by its image, whatever its tag names now.
 */
export async function requireImagesAsPlanned({
  site,
  plan,
  stageNumber,
}: Pick<Step, 'site' | 'plan' | 'stageNumber'>): Promise<void> {
  if (plan.kind !== 'deploy') return
  if (!plan.stages.some(({ number, deploysImage }) => deploysImage && number >= stageNumber)) return
  for (const { name, next = '', nextImage } of plan.services) {
    const now = nextImage === undefined ? undefined : await serviceOf(site, name)?.service.imageOf?.(next, 'present')
    if (now !== undefined && now !== nextImage)
      throw failure('PlanStale', `tag ${next} of ${name} is another image than the planned: ${now}, not ${nextImage}`)
  }
}
