-- The journal: what Headgate meant to do and what came of it, outside the database being migrated.
-- Changes to it are only additive: an older worker runs on a newer journal.

-- Every transaction of the journal's own. The proof that nothing changed explains these ids and no others.
create table transactions (
  xid xid8 primary key default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp()
);

-- The fence: a number that only grows, for each resource.
create table epochs (
  resource text primary key,
  epoch bigint not null,
  run text not null,
  step text not null,
  raised_at timestamptz not null default clock_timestamp()
);

create table plans (
  digest text primary key,
  body jsonb not null,
  made_at timestamptz not null default clock_timestamp()
);

create table runs (
  name text primary key,
  project text not null,
  environment text not null,
  kind text not null,
  -- Runs of one database exclude each other within a lane: a dump may run while a deploy waits for its approval.
  lane text not null default 'main',
  system_identifier text not null,
  database text not null,
  -- Each oid the database had or is about to get: a swap changes it.
  database_oids text[] not null,
  workflow_id text not null,
  workflow_run_id text not null,
  tag text,
  plan_digest text references plans,
  requested jsonb not null default '{}',
  state text not null default 'open' check (state in ('open', 'ended')),
  -- 'closed' only where it is proven; null before the first pause.
  gate text check (gate in ('closed', 'open')),
  -- pg_stat_database.sessions when the gate was proven closed.
  gate_sessions bigint,
  -- The second point of no return: the first contract statement may have committed.
  contract_started_at timestamptz,
  outcome text,
  cause text,
  ending jsonb,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create unique index one_open_run_per_database on runs (system_identifier, database, lane) where state = 'open';
create index runs_by_environment on runs (project, environment, started_at desc);

create table steps (
  id bigint generated always as identity primary key,
  run text not null references runs,
  step text not null,
  stage integer not null,
  attempt integer not null,
  epoch bigint not null,
  host text not null,
  state text not null default 'intended' check (state in ('intended', 'done', 'failed')),
  result jsonb,
  failure jsonb,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create index steps_by_run on steps (run, id);

-- Process groups a step started: a later attempt on the same host ends them first.
create table processes (
  resource text not null,
  epoch bigint not null,
  host text not null,
  pid integer not null,
  start_time text not null,
  primary key (resource, host, pid, start_time)
);

-- Sessions of ours on the target behind a closed gate: any other session that counts makes the gate open.
create table gate_sessions (
  run text not null references runs,
  backend_pid integer not null,
  backend_start timestamptz not null,
  primary key (run, backend_pid, backend_start)
);

-- What consumers, services and the database were like before the run touched them.
create table prior_states (
  run text not null references runs,
  kind text not null,
  name text not null,
  state jsonb not null,
  primary key (run, kind, name)
);

create table backups (
  project text not null,
  environment text not null,
  name text not null,
  kind text not null,
  run text not null references runs,
  stage integer not null,
  system_identifier text not null,
  database text not null,
  state text not null check (state in ('valid', 'damaged', 'dropped')),
  manifest jsonb not null,
  checked_at timestamptz not null default clock_timestamp(),
  primary key (project, environment, name, kind)
);
create index backups_by_run on backups (run, stage);

create table decisions (
  id bigint generated always as identity primary key,
  run text not null references runs,
  stage integer not null,
  decision text not null,
  by_whom text not null,
  verified boolean not null,
  accepted boolean not null,
  digest text not null,
  note text not null default '',
  at timestamptz not null default clock_timestamp()
);

create table events (
  id bigint generated always as identity primary key,
  run text not null references runs,
  at timestamptz not null default clock_timestamp(),
  type text not null,
  body jsonb not null default '{}'
);
create index events_by_run on events (run, id);
