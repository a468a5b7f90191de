create table bookings (
  id bigint generated always as identity primary key, customer text not null, correlation text unique,
  confirmed boolean not null default false, at timestamptz not null default now()
);
create table heartbeats (at timestamptz not null);
