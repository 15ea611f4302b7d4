"""Everything the queue knows, in a SQL database: every read and write of it.

Knows the model and SQL; no clock, no network of its own, no JupyterHub. Start at store.py; a move of a job is
jobs.py; who may write is leader.py; the tables are tables.py, and how they come into being migrations/.
"""

from .errors import (
    BackupRefused,
    DeviceTaken,
    InvalidDatabase,
    JobChanged,
    LeaseLost,
    SchemaMismatch,
    StoreError,
    StoreUnavailable,
    Unstorable,
)
from .jobs import Jobs, LoggedEvent
from .leader import Leader, Lease
from .nodes import NodeMark, Nodes
from .store import Store
from .usage import Usage, UsageDay

__all__ = [
    "BackupRefused",
    "DeviceTaken",
    "InvalidDatabase",
    "JobChanged",
    "Jobs",
    "Leader",
    "Lease",
    "LeaseLost",
    "LoggedEvent",
    "NodeMark",
    "Nodes",
    "SchemaMismatch",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Unstorable",
    "Usage",
    "UsageDay",
]
