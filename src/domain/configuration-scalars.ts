import { z } from 'zod'

const DURATION = 'a duration is a number and ms, s, m, h or d: 90s'

/** `90s`, `3m`, `3d`, `100ms` → milliseconds. */
export const Duration = z
  .string(DURATION)
  .regex(/^\d{1,6}(ms|s|m|h|d)$/, DURATION)
  .transform((text) => {
    const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
    const [, amount, unit] = /^(\d+)(\w+)$/.exec(text) ?? []
    return Number(amount) * (units[unit ?? ''] ?? 1)
  })

/** An argument array: no shell ever sees it. `{tag}` is replaced inside single arguments. */
export const Command = z.array(z.string().min(1)).min(1)
export const HttpUrl = z.url({ protocol: /^https?$/, error: 'a URL starts with http:// or https://' })
export const Text = z.string().min(1)
export const Headers = z.record(z.string(), z.string()).prefault({}).describe('Sent with each request')
export const Table = z
  .string()
  .regex(/^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$/, 'a table is table or schema.table, in lower case')
export const Variable = z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'a variable is of A-Z, 0-9 and _')
