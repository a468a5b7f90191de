import { recordGateOpen } from '../adapters/journal/runs.js'
import { changing, type Step } from './changing.js'
import { reopen } from './gate.js'
import { proveReady } from './ready.js'
import type { Dependencies } from './site.js'

/**
 * Opens the gate and brings services up: on the new image where this stage deploys it, else on the one they have. The
 * gate is recorded open before the first service starts: from here on an automatic restore is forbidden.
 */
export const restartServices = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'restart-services',
    idle: ({ site, run }) =>
      site.services.length === 0 && run.gate !== 'closed' ? 'no services are configured' : undefined,
    observe: async () => undefined,
    act: async (step) => {
      const { site, run } = step
      await recordGateOpen(site.journal, run.name)
      run.gate = 'open'
      await reopen(step)
      const notes: string[] = []
      for (const one of site.services) notes.push(await bringUp(step, one))
      return notes.filter(Boolean).join(', ') || 'no services are configured'
    },
  })

async function bringUp(step: Step, one: Step['site']['services'][number]): Promise<string> {
  const { plan, stage, fence } = step
  const { service } = one
  const next = plan.services.find(({ name }) => name === service.name)?.next
  if (stage?.deploysImage && next !== undefined) {
    fence.progress(`deploy ${service.name} ${next}`)
    await service.deploy(next, fence)
  } else if (plan.quiesces.includes(service.name)) {
    fence.progress(`start ${service.name}`)
    await service.start(fence)
  } else return ''
  await proveReady(step, one, stage?.target)
  const current = await service.current(fence.signal)
  return `${service.name} ready${current === undefined ? '' : ` on ${current}`}`
}
