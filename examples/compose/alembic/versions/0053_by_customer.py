"""bookings by customer"""

from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("bookings_by_customer", "bookings", ["customer"], postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("bookings_by_customer", postgresql_concurrently=True)
