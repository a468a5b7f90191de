"""bookings have a portfolio, and are found by customer"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"


def upgrade():
    op.add_column("bookings", sa.Column("portfolio", sa.BigInteger()))
    with op.get_context().autocommit_block():
        op.create_index("bookings_by_customer", "bookings", ["customer"], postgresql_concurrently=True, if_not_exists=True)


def downgrade():
    op.drop_index("bookings_by_customer")
    op.drop_column("bookings", "portfolio")
