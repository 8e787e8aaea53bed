"""Episodes: what a strategy saw when it entered, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of episodes."""
    op.create_table(
        "episodes",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("episode_id", sa.String(length=160), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.Column("side", sa.BigInteger(), nullable=False),
        sa.Column("regime", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy", "episode_id"),
    )
    op.create_index("ix_episodes_closed", "episodes", ["account", "strategy", "closed_ns"], unique=False)
