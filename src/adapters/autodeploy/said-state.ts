import { z } from 'zod'

/** What a kind of the team's own says of itself: one JSON object. Keys that we do not know are its own business. */
export const SaidState = z.object({ state: z.enum(['on', 'held']), running: z.int().min(0).default(0) })
