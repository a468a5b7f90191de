import { backupsOfRun, recordBackup } from '../adapters/journal/backups.js'
import { changing } from './changing.js'
import type { Dependencies } from './site.js'

/**
 * Drops the run's clones once nothing depends on them: the live database is proven, and a dump of the same moment is
 * kept. A clone is a second copy on the same disk; without a dump beside it, it stays.
 */
export const tidyBackups = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'tidy-backups',
    observe: async ({ site, run }) =>
      (await droppable(site.journal, run.name)).length === 0 ? 'nothing to tidy' : undefined,
    act: async ({ site, run, fence }) => {
      const clones = await droppable(site.journal, run.name)
      for (const clone of clones) {
        await site.backups[clone.kind].drop?.(clone, fence)
        await recordBackup(site.journal, clone, 'dropped')
      }
      return `dropped ${clones.map(({ location }) => location).join(', ')}: a dump of the same moment is kept`
    },
  })

async function droppable(journal: Parameters<typeof backupsOfRun>[0], run: string) {
  const valid = (await backupsOfRun(journal, run))
    .filter(({ state }) => state === 'valid')
    .map(({ manifest }) => manifest)
  return valid.filter(
    (clone) => clone.kind === 'clone' && valid.some(({ kind, name }) => kind === 'dump' && name === clone.name),
  )
}
