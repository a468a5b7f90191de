"""The whole schema of this release at once, as the models have it: for a database that is fresh."""
from app import ask

ask(
    """
    create table bookings (
      id bigint generated always as identity primary key, customer text not null, correlation text unique,
      confirmed boolean not null default false, at timestamptz not null default now(), note text
    )
    """
)
ask("create table heartbeats (at timestamptz not null)")
