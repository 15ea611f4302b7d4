"""A program that writes jobs and says so, to be killed: `python -m tests.store.writer ADDRESS FENCE [STATEMENT]`.

Prints `ID VERSION` after each write that was acknowledged. With the beginning of a statement as third argument it says
`inside` after that statement's first run, in the middle of its transaction, and waits there to be killed.
"""

from __future__ import annotations

import itertools
import signal
import sys
from contextlib import closing

from sqlalchemy import event

from gpuqueue_spawner.model import Event, Job
from gpuqueue_spawner.store import Store

from .builders import on, queued


def main(address: str, fence: int, inside: str = "") -> None:
    """Submit, admit and cancel jobs until killed."""
    with closing(Store(address)) as store:
        if inside:
            _stop_inside(store, inside)
        for n in itertools.count():
            job = queued(store, fence, f"user{n}", at=float(n))
            _acknowledge(job)
            job = store.jobs.apply(job, Event.ADMIT, fence=fence, at=1.0, placement=on("n1", f"gpu{n}"))
            _acknowledge(job)
            if n % 2:
                _acknowledge(store.jobs.apply(job, Event.CANCEL, fence=fence, at=2.0))


def _acknowledge(job: Job) -> None:
    print(job.id, job.version, flush=True)


def _stop_inside(store: Store, beginning: str) -> None:
    @event.listens_for(store._database.engine, "after_cursor_execute")
    def stop(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(beginning):
            print("inside", flush=True)
            signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
