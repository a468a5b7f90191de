import { hostname } from 'node:os'
import { journalGrant } from '../adapters/journal/prepare.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { withSession } from '../adapters/postgres/session.js'
import { messageOf } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { plannedBackups, whyNoRestore, whyNoSwap } from './make-plan.js'
import type { Answer } from './looking.js'

/** What stands between this environment and a run. */
export const lookDoctor: Answer<'doctor'> = async (site, { tag }, signal) => {
  const lines: LookAnswers['doctor']['lines'] = []
  const look = async (what: string, ask: () => Promise<string>): Promise<void> => {
    await ask().then(
      (found) => lines.push({ what, ok: true, found }),
      (error) => lines.push({ what, ok: false, found: messageOf(error) }),
    )
  }
  await look('database', async () => {
    const identity = await withSession(
      site.target,
      { applicationName: 'headgate doctor', readOnly: true },
      readIdentity,
    )
    const openBecause = whyNoRestore(site) ?? whyNoSwap(identity)
    const backups = await plannedBackups(site, identity, openBecause)
    const why = openBecause ?? (backups.kinds.length === 0 ? 'there is no backup' : undefined)
    lines.push({
      what: 'automatic restore',
      ok: why === undefined,
      found:
        why === undefined
          ? `possible, from a ${backups.kinds.join(' and a ')}`
          : `no automatic restore here, because ${why}`,
    })
    for (const remark of backups.reasons) lines.push({ what: 'rights', ok: false, found: remark })
    return `${identity.database} on PostgreSQL ${identity.serverVersion}, as ${identity.user}`
  })
  await look('migrator', async () => (await site.migrator.describe(tag ?? '')).join(', '))
  const { migrator } = site.configuration
  const needsTag = JSON.stringify(migrator).includes('{tag}')
  if (tag !== undefined || !needsTag)
    await look(
      'migrations',
      async () => `${(await site.migrator.migrations(tag ?? '')).length} files${tag === undefined ? '' : ` of ${tag}`}`,
    )
  for (const consumer of site.consumers)
    await look(`consumer ${consumer.name}`, async () => (await consumer.state(signal)).state)
  for (const { service } of site.services)
    await look(`service ${service.name}`, async () => `runs ${(await service.current(signal)) ?? 'an unknown tag'}`)
  return { host: hostname(), lines, grants: [journalGrant(site.journal.target)] }
}
