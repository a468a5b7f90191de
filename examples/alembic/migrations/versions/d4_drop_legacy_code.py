"""drop legacy code

headgate:phase=contract
"""

import sqlalchemy as sa
from alembic import op

revision = "d4"
down_revision = "c3"


def upgrade():
    op.drop_column("orders", "legacy_code")


def downgrade():
    op.add_column("orders", sa.Column("legacy_code", sa.Text()))
