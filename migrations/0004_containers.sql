-- Containers a step started: a later attempt removes them first, as ending their client does not end them.
create table containers (
  resource text not null,
  epoch bigint not null,
  -- Which engine has it: the same one may be reached from several hosts.
  engine_id text not null,
  name text not null,
  -- How it is called.
  engine jsonb not null,
  primary key (resource, engine_id, name)
);
