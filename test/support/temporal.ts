import { inject } from 'vitest'

/** `127.0.0.1:7233`, of the one Temporal server of this run of vitest; started when the first test asks. */
export async function temporalAddress(): Promise<string> {
  const answer = await fetch(inject('temporalAt'))
  const text = await answer.text()
  if (!answer.ok) throw new Error(`no Temporal server: ${text}`)
  return text
}
