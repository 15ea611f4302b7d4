"""What a job asks for that is neither CPU nor memory nor GPU."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gpuqueue_spawner.store import columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; jobs that are there ask for nothing more."""
    op.add_column("jobs", sa.Column("others", columns.text()))
