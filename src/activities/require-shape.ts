import { z } from 'zod'
import { failure } from '../domain/failures.js'

/**
 * What crossed Temporal, as `schema` has it. Throws `InputInvalid`: whoever can write to Temporal can call an activity from a
 * workflow of his own.
 */
export function requireShape<T>(schema: z.ZodType<T>, value: unknown): T {
  const { data, error } = schema.safeParse(value)
  if (error) throw failure('InputInvalid', z.prettifyError(error))
  return data
}
