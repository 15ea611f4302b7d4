"""Which job starts where, now and later. Knows records and numbers: no clock, no chance, no await, no database.

A plan is made by planner.py; who acts on it: manager/planning.py. Only who starts now, sooner: front.py.
"""

from .front import Ahead, Front
from .limits import Limits
from .order import first_come
from .planner import plan, trial, trials
from .pools import takes
from .snapshot import Admit, Choice, Plan, Snapshot, Trial, Wait

__all__ = [
    "Admit",
    "Ahead",
    "Choice",
    "Front",
    "Limits",
    "Plan",
    "Snapshot",
    "Trial",
    "Wait",
    "first_come",
    "plan",
    "takes",
    "trial",
    "trials",
]
