"""total is a number"""

import sqlalchemy as sa
from alembic import op

revision = "b2"
down_revision = "a1"


def upgrade():
    op.alter_column("orders", "total", type_=sa.Integer(), postgresql_using="total::integer")


def downgrade():
    op.alter_column("orders", "total", type_=sa.Text())
