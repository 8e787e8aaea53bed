"""A signal and a verdict of the tug of war are kept once a round, so that a session that goes on doubles nothing."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RULES = (
    ("tug_signals", "ix_tug_signals_symbol", ["account", "symbol", "ts", "bot"]),
    ("tug_results", "ix_tug_results_symbol", ["account", "symbol", "ts"]),
)


def upgrade() -> None:
    """Leave the latest row of each, and let the store refuse a second one."""
    for table, index, columns in _RULES:
        names = ", ".join(columns)
        op.drop_index(index, table_name=table)
        op.execute(f"DELETE FROM {table} WHERE key NOT IN (SELECT max(key) FROM {table} GROUP BY {names})")  # noqa: S608
        op.create_index(index, table, columns, unique=True)
