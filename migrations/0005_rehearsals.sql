-- What pending migrations did to a copy of the database: it counts for these very files.
create table rehearsals (
  id bigint generated always as identity primary key,
  project text not null,
  environment text not null,
  at timestamptz not null default clock_timestamp(),
  body jsonb not null
);
create index rehearsals_by_environment on rehearsals (project, environment, id desc);
