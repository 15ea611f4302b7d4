"""On which nodes a job's launches failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gpuqueue_spawner.store import columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; of jobs that are there it is not known."""
    op.add_column("jobs", sa.Column("failed_on", columns.text()))
