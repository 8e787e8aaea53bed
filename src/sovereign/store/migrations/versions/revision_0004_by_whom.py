"""A change of the trading state names the person who made it, halted or cleared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was kept before has no name."""
    op.add_column("state_changes", sa.Column("by", sa.String(length=120), nullable=True))
