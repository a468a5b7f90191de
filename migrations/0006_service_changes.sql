-- What an attempt has the worker of another host do to a service there: that one acts on nothing that is not here, and once.
create table service_changes (
  id uuid primary key default gen_random_uuid(),
  resource text not null,
  epoch bigint not null,
  run text not null,
  service text not null,
  change jsonb not null,
  asked_at timestamptz not null default clock_timestamp(),
  taken_at timestamptz
);
