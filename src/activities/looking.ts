import { type LookAnswers, LookInput } from '../domain/look.js'
import { beating } from './heartbeat.js'
import { requireProject } from './plan.js'
import { requireShape } from './require-shape.js'
import { type Dependencies, onSite, type Site } from './site.js'

/** Answers one command that only looks. */
export type Answer<C extends keyof LookAnswers> = (
  site: Site,
  input: LookInput,
  signal: AbortSignal,
  progress: (text: string) => void,
) => Promise<LookAnswers[C]>

/** Makes the activity of a command that only looks. */
export function looking<C extends keyof LookAnswers>(dependencies: Dependencies, answer: Answer<C>) {
  return (asked: LookInput): Promise<LookAnswers[C]> =>
    beating(({ signal, progress }) => {
      const input = requireShape(LookInput, asked)
      requireProject(dependencies, input.project)
      return onSite(dependencies, input.environment, async (site) => {
        return await answer(site, input, signal, progress)
      })
    })
}
