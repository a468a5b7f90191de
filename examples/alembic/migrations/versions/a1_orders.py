"""orders"""

from alembic import op

revision = "a1"
down_revision = None


def upgrade():
    op.execute(
        """
        create table orders (id bigint primary key, customer text not null, total text not null, placed_at timestamptz not null, legacy_code text)
        """
    )
    op.execute(
        """
        insert into orders (id, customer, total, placed_at)
        select n, 'customer ' || n % 1000, n % 100, timestamptz '2026-01-01' + n * interval '1 minute' from generate_series(1, 100000) n
        """
    )


def downgrade():
    op.drop_table("orders")
