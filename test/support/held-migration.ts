import type { Client } from 'pg'
import { withControl } from './test-database.js'

/** Class of the advisory locks that let migrations go on; the object is the database's oid. */
const GO_ON = 4711
const ASLEEP = 'pg_sleep(0.02)'

/** In a migration: it waits here until `goOn`. A lock of any database of the server is seen in each. */
export const HELD = `do $$ begin
  while not exists (select from pg_locks join pg_database on objid = oid
                     where locktype = 'advisory' and classid = ${GO_ON} and datname = current_database())
  loop perform ${ASLEEP}; end loop;
end $$`

/** Waits until a migration of the database is at `HELD`. Asks beside the database: a session in it would open the gate. */
export const untilHeld = (database: string): Promise<void> =>
  withControl(async (control) => {
    while (!(await isHeld(control, database)));
  })

/** Lets the migration of the database that is at `HELD` go on. */
export const goOn = (database: string): Promise<void> =>
  withControl(async (control) => {
    await control.query('select pg_advisory_lock($1, oid::int) from pg_database where datname = $2', [GO_ON, database])
    while (await isHeld(control, database));
  })

async function isHeld(control: Client, database: string): Promise<boolean> {
  const { rowCount } = await control.query(
    `select from pg_stat_activity where datname = $1 and state = 'active' and position($2 in query) > 0`,
    [database, ASLEEP],
  )
  return rowCount !== 0
}
