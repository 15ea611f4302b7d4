"""How a demo ends its notebooks: as stops, told to the manager, so that each job has its end and nothing is left.

Knows the order. What is left of a job: machine.py; who calls it: demo.py.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing, suppress

from tornado.httpclient import HTTPError

from ..model import State
from ..store import Store, StoreError
from . import machine
from .folder import Folder
from .supervisor import Supervisor
from .web import stop_job

LOOK_S = 0.2
SAVE_S = 8.0  # for notebooks to save and end by themselves
NOTICE_S = 5.0  # for the manager to see them gone
SWEEP_S = 5.0  # what is killed is gone at once; what forks while it is killed needs another round


async def end_notebooks(folder: Folder, supervisor: Supervisor, *, manager: str) -> None:
    """End what runs, once the Hub is gone and while the manager can still write down how it ended.

    A job whose notebook was just starting keeps its GPUs and is launched anew at the next start.
    """
    for key in await asyncio.to_thread(_running, folder):
        try:
            await stop_job(manager, folder.secret("spawner_secret"), key)
        except (HTTPError, OSError) as error:  # its end is then written down at the next start, as a failure
            supervisor.printer.say("demo", f"the queue was not told that job {key} is stopped: {error}")
    instance, ours = folder.instance(), supervisor.pids.values()
    machine.send(machine.leftovers(instance, but=ours), signal.SIGTERM)
    await supervisor.patience(asyncio.create_task(_gone(instance, supervisor), name="notebooks end"), SAVE_S)
    machine.send(machine.leftovers(instance, but=ours), signal.SIGKILL)
    await supervisor.patience(asyncio.create_task(_written(folder), name="ends are written"), NOTICE_S)


async def end_leftovers(folder: Folder, supervisor: Supervisor | None = None) -> None:
    """Kill whatever is left, until nothing is."""
    ours = supervisor.pids.values() if supervisor else ()
    with suppress(TimeoutError):
        async with asyncio.timeout(SWEEP_S):
            while left := machine.leftovers(folder.instance(), but=ours):
                machine.send(left, signal.SIGKILL)
                await asyncio.sleep(LOOK_S)
                machine.bury(but=ours)


async def _gone(instance: str, supervisor: Supervisor) -> None:
    while machine.leftovers(instance, but=supervisor.pids.values()):  # noqa: ASYNC110  # another process does it, nothing tells us
        await asyncio.sleep(LOOK_S)


async def _written(folder: Folder) -> None:
    while await asyncio.to_thread(_running, folder):  # noqa: ASYNC110  # another process does it, nothing tells us
        await asyncio.sleep(LOOK_S)


def _running(folder: Folder) -> list[str]:
    """The keys of the jobs whose notebooks run, or are on their way out, by the queue's own book."""
    path = folder.private / "gpuqueue.sqlite"
    if not path.exists():
        return []
    with suppress(StoreError), closing(Store(f"sqlite:///{path}")) as store:
        return [job.key for job in store.jobs.open() if job.state in (State.RUNNING, State.STOPPING)]
    return []
