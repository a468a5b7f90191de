import { size } from '../domain/amounts.js'
import { failure } from '../domain/failures.js'
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
        return requireCarried(await answer(site, input, signal, progress))
      })
    })
}

/** Temporal carries 2 MB in one payload; with more it loses the answer, and has it made again and again. */
export const LARGEST_BYTES = 1_900_000

function requireCarried<T>(answer: T): T {
  const bytes = Buffer.byteLength(JSON.stringify(answer))
  if (bytes <= LARGEST_BYTES) return answer
  throw failure('AnswerTooLarge', `the answer has ${size(bytes)}, and Temporal carries ${size(LARGEST_BYTES)} at once`)
}
