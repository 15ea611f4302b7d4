"""Which nodes a job may run on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gpuqueue_spawner.store import columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; jobs that are there demand nothing."""
    op.add_column("jobs", sa.Column("node_rules", columns.text()))
