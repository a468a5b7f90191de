import { z } from 'zod'
import { Name, Tag } from './names.js'

/** What a service is made of, as its kind words it. */
const Image = z.string().min(1).max(16_384)

/** What changes a service. The journal holds it: what crosses Temporal only names it. */
export const ServiceChange = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('deploy'), tag: Tag, image: Image.optional() }),
  z.strictObject({ verb: z.literal('start') }),
  z.strictObject({ verb: z.literal('stop') }),
])
export type ServiceChange = z.infer<typeof ServiceChange>

/** What is asked of a service, and changes nothing. */
export const ServiceQuestion = z.discriminatedUnion('ask', [
  z.strictObject({ ask: z.literal('current') }),
  z.strictObject({ ask: z.literal('isRunning') }),
  z.strictObject({ ask: z.literal('currentImage') }),
  z.strictObject({ ask: z.literal('undoneBy') }),
  z.strictObject({ ask: z.literal('exists'), tag: Tag, image: Image.optional() }),
  z.strictObject({ ask: z.literal('imageOf'), tag: Tag, which: z.enum(['newest', 'present']) }),
])
export type ServiceQuestion = z.infer<typeof ServiceQuestion>

/** What the worker beside a service answers. Temporal carries null, where the service cannot tell. */
export interface ServiceAnswers {
  current: string | null
  isRunning: boolean | null
  currentImage: string | null
  undoneBy: string[]
  exists: boolean | null
  imageOf: string
}

/** One call to the worker beside a service: a question, or the journal's id of a change. */
export const ServiceCall = z.strictObject({
  project: Name,
  environment: Name,
  service: z.string().min(1).max(128),
  call: z.union([ServiceQuestion, z.strictObject({ change: z.uuid() })]),
})
export type ServiceCall = z.infer<typeof ServiceCall>
