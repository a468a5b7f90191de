"""a note for each booking"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"


def upgrade():
    op.add_column("bookings", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_column("bookings", "note")
