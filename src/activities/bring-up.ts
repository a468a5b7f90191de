import { failure } from '../domain/failures.js'
import type { Step } from './changing.js'
import { type SiteService, serviceOf } from './configured.js'
import { each } from './each.js'
import { proveReady } from './ready.js'

/** Deploys `tag`, and lets the service tell that it has it; without one starts what is deployed. Throws `ServiceFailed`. */
export async function bringUp({ fence }: Step, { service }: SiteService, tag: string | undefined): Promise<void> {
  fence.progress(tag === undefined ? `start ${service.name}` : `deploy ${service.name} ${tag}`)
  if (tag === undefined) return service.start(fence)
  await service.deploy(tag, fence)
  const current = await service.current(fence.signal)
  if (current !== undefined && current !== tag)
    throw failure('ServiceFailed', `service ${service.name}: ${tag} was deployed, and ${current} runs`)
}

/** What an undo brings back. */
export interface Wanted {
  name: string
  /** The image it shall have; undefined: the one it has. */
  tag?: string | undefined
  /** A person had stopped it. */
  stopped?: boolean
}

/** Brings services back to what they were. One that fails keeps no other down: what failed is returned beside the notes. */
export async function bringBack(
  step: Step,
  wanted: readonly Wanted[],
): Promise<{ notes: string[]; failed: unknown[] }> {
  const { site, fence } = step
  const here = wanted.flatMap(({ name, tag, stopped }) => {
    const found = serviceOf(site, name)
    return found ? [{ found, tag, stays: stopped === true && found.service.canStop ? 'stopped' : 'up' }] : []
  })
  const brought = await each(here, fence.signal, async ({ found, tag, stays }) => {
    if (stays === 'stopped' && (await isStoppedOn(found, tag, fence.signal))) return
    await bringUp(step, found, tag)
    if (stays === 'stopped') await found.service.stop(fence)
  })
  const up = brought.done.filter(({ stays }) => stays === 'up')
  const ready = await each(up, fence.signal, ({ found }) => proveReady(step, found, undefined))
  const gone = wanted.filter(({ name }) => !serviceOf(site, name)).map(({ name }) => notThere(name))
  const notes = here.map(({ found: { service }, tag, stays }) => {
    const what = tag === undefined ? `${service.name} started` : `${service.name} on ${tag}`
    return stays === 'stopped' ? `${what}, stopped as it was` : what
  })
  return { notes, failed: [...brought.failed, ...ready.failed, ...gone] }
}

/** A service that somebody stopped is not started for a moment where its image was not replaced. */
const isStoppedOn = async ({ service }: SiteService, tag: string | undefined, signal: AbortSignal): Promise<boolean> =>
  (await service.isRunning(signal)) === false && (await service.current(signal)) === tag

const notThere = (name: string): Error =>
  failure('NeedsOperator', `service ${name} is not as it was: headgate.yaml has it no longer, put it back there`)
