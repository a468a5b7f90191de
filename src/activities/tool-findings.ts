import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { sessionsNamed } from '../adapters/postgres/activity.js'
import { type ChildSettings, describeTarget } from '../adapters/postgres/target.js'
import { isMigrating, type Plan } from '../domain/plan.js'
import { lookInto } from './look-into.js'
import type { Site } from './site.js'

/** What looks must not write, whatever the tool thinks of that. */
const READ_ONLY = { default_transaction_read_only: 'on' }
/** A session of milliseconds may be missed a few times: a tool that has such is as quick to try again. */
const TRIES = 3
const TRIED_MS = 5_000
const LOOK_MS = 1

/**
 * Has the migrator's tool connect, and looks whether its session is on the target, under the name and with the settings that
 * it is given: the fence ends sessions by that name, and the lock guard is made of those settings.
 */
export async function toolFindings(site: Site, plan: Plan, signal: AbortSignal): Promise<string[]> {
  const { connect } = site.migrator
  const isProxied = site.configuration.migrator.driver === 'other'
  if (!connect || !plan.stages.some(({ phase }) => isMigrating(phase))) return []
  /** Undefined: it does. Else what the tool said of itself. */
  const missing = (sessionOf: (name: string) => ChildSettings): Promise<string | undefined> =>
    // The tool's own role: it sees its own sessions, whatever it may see of others'.
    lookInto(site, site.target, 'headgate preflight', async (session) => {
      const begun = performance.now()
      for (let tries = 1; ; tries++) {
        const name = `hg-probe-${randomBytes(4).toString('hex')}`
        let isOver = false
        const connecting = connect({ tag: plan.tag ?? '', session: sessionOf(name) }, site.target, signal).finally(
          () => {
            isOver = true
          },
        )
        connecting.catch(() => {})
        let isSeen = false
        for (; !isOver && !isSeen; await pause(LOOK_MS))
          isSeen = (await sessionsNamed(session, plan.bound.database, [name])).length > 0
        const said = await connecting
        if (isSeen) return undefined
        if (tries >= TRIES && performance.now() - begun > TRIED_MS) return said
      }
    })
  const byName = await missing((name) => ({ applicationName: name, options: READ_ONLY }))
  if (byName !== undefined)
    return [
      byName === ''
        ? `no session of the migrator came to ${describeTarget(site.target)} under the name in PGAPPNAME: ${isProxied ? 'it does not take its address from its environment (see docs/migrators.md, *Drivers*)' : 'its driver ignores that (write migrator.driver: other; see docs/migrators.md, *Drivers*)'}, or it connects to another database`
        : `the migrator did not connect to ${describeTarget(site.target)}: ${byName}`,
    ]
  // The proxy that sets the one sets the other.
  if (isProxied) return []
  const byOptions = await missing((name) => ({ options: { ...READ_ONLY, application_name: name } }))
  if (byOptions !== undefined)
    return [
      "the migrator's driver ignores PGOPTIONS, so that its sessions would have no lock timeout (write migrator.driver: other; see docs/migrators.md, *Drivers*)",
    ]
  return []
}
