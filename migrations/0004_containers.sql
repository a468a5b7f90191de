-- Containers a step started: a later attempt on the same host removes them first, as ending their client does not end them.
create table containers (
  resource text not null,
  epoch bigint not null,
  host text not null,
  name text not null,
  engine jsonb not null,
  primary key (resource, host, name)
);
