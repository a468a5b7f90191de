import { dropFresh, dropOld, type FreshRequest, makeFresh, putFresh } from '../adapters/backup/fresh.js'
import { recordOid } from '../adapters/journal/runs.js'
import { requireAsPlanned } from '../adapters/migrator/pending.js'
import { withOwnSession } from '../adapters/postgres/account.js'
import { otherSessions } from '../adapters/postgres/gate.js'
import { invalidIndexes } from '../adapters/postgres/invalid-indexes.js'
import { databaseOid } from '../adapters/postgres/swap.js'
import { type Target, withDatabase } from '../adapters/postgres/target.js'
import { advised, failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import { ScratchFence } from '../domain/scratch-fence.js'
import { changing, type Step } from './changing.js'
import { reopen, shut } from './gate.js'
import { contentsOf } from './plan-init.js'
import type { Dependencies } from './site.js'

/**
 * Makes a fresh database beside, fills it with the release's schema, marks its migrations as applied, proves it, and gives it
 * the name: until then nothing is changed. One that it replaces is shut meanwhile: nobody writes what would be dropped.
 */
export const initDatabase = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'init-db',
    observe: async (step) => {
      await discardInit(step)
      if (await isInPlace(step)) return 'the fresh database is in place'
      await reopen(step)
      return undefined
    },
    act: async (step) => {
      const { site, run, control, fence, plan } = step
      const fresh = freshOf(step)
      try {
        if (fresh.instead !== 'nothing') await shutOut(step)
        const name = await makeFresh(control, fresh, fence)
        const target = withDatabase(site.target, name)
        if (fresh.instead === 'empty') await requireEmpty(step, target)
        await fill(step, target).catch((error) => {
          throw advised(error, 'mend what makes the schema, then start it again: nothing was changed')
        })
        const versions = await prove(step, target)
        await putFresh(control, fresh, (oid) => recordOid(site.journal, run.name, oid), fence)
        const how = creates(plan).by === 'init' ? 'made by init' : 'migrated from the first'
        return `${how}, ${versions} ${versions === 1 ? 'version' : 'versions'} in the ledger`
      } catch (error) {
        // Also when it was told to stop.
        const unending = new ScratchFence(fence.applicationName, () => {}, new AbortController().signal)
        if (!(await isInPlace(step).catch(() => true))) {
          await dropFresh(control, fresh, unending).catch(() => {})
          await reopen({ ...step, fence: unending }).catch(() => {})
        }
        throw error
      }
    },
  })

/** Removes what is neither the database of before nor the one in its place. Twice is once. */
export async function discardInit(step: Step): Promise<void> {
  if (!step.plan.creates) return
  if (await isInPlace(step)) await dropOld(step.control, freshOf(step), step.fence)
  else await dropFresh(step.control, freshOf(step), step.fence)
}

/** Whoever came since the plan was made has something to do in there. */
async function shutOut(step: Step): Promise<void> {
  const [other] = await otherSessions(step.control, step.run.database)
  if (other)
    throw failure(
      'GuardFailed',
      `pid ${other.pid} is in database ${step.run.database}: stop what is connected, then start it again`,
    )
  await shut(step)
}

/** Now that nobody can come in any more. */
const requireEmpty = ({ run, fence }: Step, target: Target): Promise<void> =>
  withOwnSession(target, fence, { readOnly: true }, async (session) => {
    if ((await contentsOf(session)) > 0)
      throw failure('DatabaseWrong', `database ${run.database} is not empty any more: somebody has worked in it`)
  })

/** The database under the name is one that this run made. */
export async function isInPlace({ control, run, plan }: Pick<Step, 'control' | 'run' | 'plan'>): Promise<boolean> {
  const oid = await databaseOid(control, run.database)
  return oid !== undefined && oid !== plan.bound.oid && run.databaseOids.includes(oid)
}

function creates({ creates: found }: Plan): NonNullable<Plan['creates']> {
  if (!found) throw failure('StateUnexpected', 'the plan of this run makes no database')
  return found
}

const freshOf = ({ site, run, plan }: Step): FreshRequest => ({
  ...{ database: run.database, oid: plan.bound.oid, owner: site.target.user, run: run.name, startedAt: run.startedAt },
  instead: creates(plan).instead,
})

/** By the team's own command, and then by marks; else by the migrations, from the first. */
async function fill({ site, plan, fence }: Step, target: Target): Promise<void> {
  const { migrations, by } = creates(plan)
  const tag = plan.tag ?? ''
  const migrator = site.migratorAt(target)
  requireAsPlanned(await migrator.migrations(tag), migrations)
  if (by === 'init') {
    if (!site.createAll) throw failure('PlanStale', 'init was taken out of the configuration since the plan was made')
    await site.createAll(tag, target, fence)
    const contents = await withOwnSession(target, fence, { readOnly: true }, contentsOf)
    if (contents === 0)
      throw failure('VerifyFailed', 'init made nothing in the database that DATABASE_URL and PG* lead to', undefined, {
        hint: 'see that it connects where they lead, and nowhere else',
      })
    for (const { version } of migrations) await migrator.mark?.({ tag, version, as: 'applied' }, target, fence)
    return
  }
  const { timeout, budget, statementTimeout } = site.configuration.locks
  const limits = { lockTimeoutMs: timeout, lockBudgetMs: budget, statementTimeoutMs: statementTimeout }
  const last = migrations.at(-1)?.version ?? ''
  await migrator.up({ tag, target: last, planned: migrations, ...limits }, target, fence)
}

/** Throws `VerifyFailed`; returns how many versions the ledger has. */
async function prove({ site, plan, fence }: Step, target: Target): Promise<number> {
  const migrator = site.migratorAt(target)
  await migrator.migrations(plan.tag ?? '')
  return withOwnSession(target, fence, { readOnly: true }, async (session) => {
    const ledger = await migrator.ledger(session, plan.tag)
    const applied = new Set(ledger.applied.map(({ version }) => version))
    const missing = creates(plan).migrations.filter(({ version }) => !applied.has(version))
    if (missing.length > 0)
      throw failure('VerifyFailed', `the ledger lacks ${missing.map(({ version }) => version).join(', ')}`)
    const [invalid] = await invalidIndexes(session)
    if (invalid) throw failure('VerifyFailed', `index ${invalid.index} is invalid`)
    return applied.size
  })
}
