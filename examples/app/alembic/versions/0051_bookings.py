"""bookings"""

from alembic import op

revision = "0051"
down_revision = None


def upgrade():
    op.execute(
        """
        create table bookings (
          id bigint generated always as identity primary key, customer text not null, correlation text unique,
          confirmed boolean not null default false, at timestamptz not null default now()
        )
        """
    )
    op.execute("create table heartbeats (at timestamptz not null)")
    op.execute("insert into bookings (customer) select 'customer ' || n from generate_series(1, 1000) n")


def downgrade():
    op.drop_table("heartbeats")
    op.drop_table("bookings")
