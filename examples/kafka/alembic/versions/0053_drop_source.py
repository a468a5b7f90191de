"""drop source

headgate:phase=contract
"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade():
    op.drop_column("bookings", "source")


def downgrade():
    op.add_column("bookings", sa.Column("source", sa.Text()))
