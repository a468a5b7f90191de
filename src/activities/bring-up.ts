import { failure } from '../domain/failures.js'
import type { Step } from './changing.js'
import { type SiteService, serviceOf } from './configured.js'
import { each } from './each.js'
import { proveReady } from './ready.js'
import { isOn, type Running, runningOf } from './running.js'

/** Deploys a tag, and lets the service tell that it has it; without one starts what is deployed. Throws `ServiceFailed`. */
export async function bringUp({ fence }: Step, { service }: SiteService, { tag, image }: Running): Promise<void> {
  fence.progress(tag === undefined ? `start ${service.name}` : `deploy ${service.name} ${tag}`)
  if (tag === undefined) return service.start(fence)
  await service.deploy(tag, fence, image)
  const current = await service.current(fence.signal)
  if (current !== undefined && current !== tag)
    throw failure('ServiceFailed', `service ${service.name}: ${tag} was deployed, and ${current} runs`)
}

/** What an undo brings back. */
export interface Wanted {
  name: string
  /** What it shall have; without a tag: what it has. */
  what?: Running
  /** A person had stopped it. */
  stopped?: boolean
}

/** Brings services back to what they were. One that fails keeps no other down: what failed is returned beside the notes. */
export async function bringBack(
  step: Step,
  wanted: readonly Wanted[],
): Promise<{ notes: string[]; failed: unknown[] }> {
  const { site, fence } = step
  const here = wanted.flatMap(({ name, what = {}, stopped }) => {
    const found = serviceOf(site, name)
    return found ? [{ found, what, stays: stopped === true && found.service.canStop ? 'stopped' : 'up' }] : []
  })
  const brought = await each(here, fence.signal, async ({ found, what, stays }) => {
    if (stays === 'stopped' && (await isStoppedOn(found, what, fence.signal))) {
      // What an attempt before this one left at work on another host ends before this, and not before a look.
      if (site.configuration.services[found.service.name]?.queue !== undefined) await found.service.stop(fence)
      return
    }
    await bringUp(step, found, what)
    if (stays === 'stopped') await found.service.stop(fence)
  })
  const up = brought.done.filter(({ stays }) => stays === 'up')
  const ready = await each(up, fence.signal, ({ found }) => proveReady(step, found, undefined))
  const gone = wanted.filter(({ name }) => !serviceOf(site, name)).map(({ name }) => notThere(name))
  const notes = here.map(({ found: { service }, what: { tag }, stays }) => {
    const brought = tag === undefined ? `${service.name} started` : `${service.name} on ${tag}`
    return stays === 'stopped' ? `${brought}, stopped as it was` : brought
  })
  return { notes, failed: [...brought.failed, ...ready.failed, ...gone] }
}

/** A service that somebody stopped is not started for a moment where its image was not replaced. */
const isStoppedOn = async ({ service }: SiteService, what: Running, signal: AbortSignal): Promise<boolean> =>
  (await service.isRunning(signal)) === false && isOn(await runningOf(service, signal), what)

const notThere = (name: string): Error =>
  failure('NeedsOperator', `service ${name} is not as it was: headgate.yaml has it no longer, put it back there`)
