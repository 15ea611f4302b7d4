"""The loop around the planner: it keeps the queue, acts on plans, and repairs what drifted.

Knows the store, capacity, the planner and the Hub's REST API; no HTTP handler, page or cookie: those are `service`.

Where what is:

- `queue` the queue in memory; `decisions` what a happening does to one job, pure; `manager` writes, one at a time
- `planning` admits; `outlook` plans for those that wait, and tells them; `watching` sees what really runs
- `ending` stops; `launching` permits; `leases` warns
- `hubs` which Hub is connected; `resume` posts again what the Hub forgot; `hub` its REST API
- `leadership` who may write; `database` the one thread that speaks SQL; `run` everything under one parent
"""

from .decisions import OverLimit, Refused
from .manager import Manager, NotLeading
from .policy import Policy

__all__ = ["Manager", "NotLeading", "OverLimit", "Policy", "Refused"]
