"""Which job starts where, now and later. Knows records and numbers: no clock, no chance, no await, no database.

A plan is made by planner.py; who acts on it: manager/planning.py.
"""

from .limits import Limits
from .planner import plan, trial, trials
from .pools import takes
from .snapshot import Admit, Choice, Plan, Snapshot, Trial, Wait

__all__ = ["Admit", "Choice", "Limits", "Plan", "Snapshot", "Trial", "Wait", "plan", "takes", "trial", "trials"]
