import type { Client } from 'pg'
import { fingerprint } from '../../../src/adapters/postgres/data-fingerprint.js'
import { openSession, quoteIdentifier, withSession } from '../../../src/adapters/postgres/session.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import type { Fingerprint } from '../../../src/domain/manifest.js'
import { createDatabase, serverTarget, setOpen, withControl } from '../../support/test-database.js'

/** Roles of the objects below; the whole run of tests shares the cluster. */
const ROLES = `do $$ begin
  create role "ro'le" nologin; exception when duplicate_object then null; end $$`

const CONTENT = `
create schema "we""ird";
create extension if not exists plpgsql;
create type mood as enum ('sad', 'it''s "fine"');
create domain positive as int check (value > 0);
create table "we""ird"."ta'ble ünï" (id bigint generated always as identity primary key, "co""l" text, feeling mood, n positive);
insert into "we""ird"."ta'ble ünï" ("co""l", feeling, n) select 'row ' || i || E' \\\\ \\t ünï', 'sad', i from generate_series(1, 200) i;
create table plain (v int, j jsonb, b bytea);
insert into plain select i, jsonb_build_object('k', i), decode(md5(i::text), 'hex') from generate_series(1, 500) i;
create table parted (at date, v int) partition by range (at);
create table parted_1 partition of parted for values from ('2026-01-01') to ('2027-01-01');
insert into parted values ('2026-05-05', 5);
create index on plain using gin (j);
create view "vi ew" as select v from plain where v > 10;
create materialized view summed as select sum(v) from plain;
create sequence "se""q" start 17;
select nextval('"se""q"'), nextval('"se""q"');
create sequence untouched;
create function public.twice(a int) returns int language sql as $f$ select a * 2 $f$;
alter table plain enable row level security;
create policy own on plain for select to "ro'le" using (v < 100);
grant select on plain, "vi ew" to "ro'le";
grant select on "se""q" to "ro'le";
alter default privileges in schema public grant select on tables to "ro'le";
comment on table plain is 'a ''comment'' with "quotes"';
select lo_from_bytea(0, convert_to(repeat('large object ', 30000), 'UTF8')), lo_from_bytea(0, '');
create publication pub for table plain;`

const properties = (database: string): string[] => [
  `comment on database ${database} is 'it''s :new'`,
  `alter database ${database} set search_path = public, "we""ird"`,
  `alter role "ro'le" in database ${database} set work_mem = '5MB'`,
  `alter database ${database} connection limit 50`,
  `grant connect on database ${database} to "ro'le"`,
]

/** A database with a bit of everything that a backup can lose. */
export async function createRichDatabase(name: string): Promise<Target> {
  await withControl((control) => control.query(ROLES))
  const { target } = await createDatabase(name)
  await withSession(target, { applicationName: 'test content' }, (session) => session.query(CONTENT))
  await withControl(async (control) => {
    for (const sql of properties(quoteIdentifier(name))) await control.query(sql)
  })
  return target
}

/** Sessions left of a test must be gone before the next one: a server ends them a moment after their client. */
export async function untilEmpty(name: string): Promise<void> {
  await withControl(async (control) => {
    while ((await control.query('select from pg_stat_activity where datname = $1', [name])).rows.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })
}

/** Runs `work` in a database that is closed, and leaves it as it was. */
export async function inside<T>(target: Target, work: (session: Client) => Promise<T>): Promise<T> {
  await setOpen(target.database, true)
  const session = await openSession(target, { applicationName: 'test inside', statementTimeoutMs: 0 })
  await setOpen(target.database, false)
  try {
    return await work(session)
  } finally {
    await session.end()
    await untilEmpty(target.database)
  }
}

export const fingerprintOf = (target: Target): Promise<Fingerprint> =>
  inside(target, (session) => fingerprint(session, { rows: 'hash' }))

export const databases = async (): Promise<string[]> =>
  withControl(async (control) =>
    (await control.query<{ name: string }>('select datname::text as name from pg_database order by 1')).rows.map(
      ({ name }) => name,
    ),
  )

/** Sessions anywhere in the cluster under an attempt's name. */
export const sessionsOf = async (applicationName: string): Promise<string[]> =>
  withControl(async (control) => {
    const { rows } = await control.query<{ query: string }>(
      'select query from pg_stat_activity where application_name = $1',
      [applicationName],
    )
    return rows.map(({ query }) => query)
  })

/** A database of a role that may create databases and nothing else. */
export async function createOwnedDatabase(name: string, role: string): Promise<Target> {
  await withControl(async (control) => {
    await control.query(`create role ${role} login createdb`)
    await control.query(`create database ${name} owner ${role}`)
  })
  const target = { ...serverTarget(name), user: role }
  await withSession(target, { applicationName: 'test content' }, (session) =>
    session.query(`create table t (v int); insert into t select generate_series(1, 10); create sequence s`),
  )
  return target
}
