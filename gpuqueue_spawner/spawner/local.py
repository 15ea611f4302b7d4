"""Notebooks as processes of this machine, each with exactly the GPUs that the queue gave it.

Knows processes, folders and numeric users. Waiting, permits and stops: queueing.py. What runs before the notebook does:
wrapper.py. Leftovers of a launch, such as a kernel that outlived its server, are found and ended by the queue manager.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import random_port, url_path_join
from traitlets import Integer, Tuple, Unicode, default, validate

from . import wrapper
from .errors import LaunchFailed
from .jobs import Permit
from .processes import converse, started
from .queueing import QueueingMixin
from .users import Identity, NumberedUsers, directory_identity, make_homes, own_folder

LOOK_EVERY_S = 0.1
SHARED_WORDS = (
    "The Hub does not run as root: all notebooks run as its own user %s, and users are not protected from each other."
)


class GPUQueueLocalSpawner(QueueingMixin, LocalProcessSpawner):  # type: ignore[misc]
    """Waits in the queue, then runs the notebook as a process of this machine.

    Started as root, each user's processes run under a numeric user of their own, which needs no entry in passwd: the
    directory's, else one from `uid_range`. Started as anybody else, all share the Hub's user.
    """

    homes = Unicode(
        config=True,
        help="""
        Folder that holds a folder for each user, which stays between servers.

        Every folder above it must be open to all (mode o+x), or no notebook can enter its own.

        .. versionadded:: 0.1
        """,
    )
    uid_range = Tuple(
        Integer(),
        Integer(),
        default_value=(200_000, 50_000),
        config=True,
        help="""
        First numeric user and how many, given to those for whom the directory has none.

        It must be free on this machine and, where folders are on a share, on every machine. Who has which number is
        kept in the file `.uids.sqlite` in `homes`.

        .. versionadded:: 0.1
        """,
    )
    minimum_uid = Integer(
        1000,
        config=True,
        help="""
        Smallest numeric user that is taken from the directory; smaller ones belong to the system. Never 0.

        .. versionadded:: 0.1
        """,
    )
    pid_started = Integer(0, help="When the process started, in clock ticks since boot: a pid alone is used again.")

    _identity: Identity | None = None
    _home = ""

    @default("homes")
    def _homes_here(self) -> str:
        return str(Path("homes").absolute())

    @validate("homes")
    def _absolute(self, proposal: Any) -> str:
        return str(Path(proposal.value).absolute())

    @validate("uid_range")
    def _not_the_systems(self, proposal: Any) -> tuple[int, int]:
        first, count = proposal.value
        if first < 1000 or count < 1 or first + count > 2**31:
            name = f"{type(self).__name__}.uid_range"
            raise ValueError(f"{name} is {proposal.value!r}; allowed is a first number from 1000 on, and 1 or more")
        return first, count

    async def identity(self) -> Identity | None:
        """The user's number in the directory, else one from the range; None when the Hub is not root."""
        first, count = self.uid_range
        if os.geteuid() != 0:
            _warn_shared(self.log)
            who = None
        else:
            auth_state = await self.user.get_auth_state() or {}
            found = directory_identity(auth_state, minimum=self.minimum_uid, given_out=range(first, first + count))
            who = found or await asyncio.to_thread(self._from_range)
        self._identity = who
        self._home = str(await asyncio.to_thread(self._own_folder))  # on a share that hangs only this start hangs
        return who

    def _from_range(self) -> Identity:
        first, count = self.uid_range
        make_homes(Path(self.homes))
        numbers = NumberedUsers(Path(self.homes) / ".uids.sqlite", first=first, count=count)
        number = numbers.number(self.user.name)
        return Identity(uid=number, gid=number)

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """The user's part of the environment, without asking passwd; LocalProcessSpawner.get_env() calls it."""
        return {**env, "USER": self.user.name, "HOME": self._home, "SHELL": "/bin/bash"}

    def _own_folder(self) -> Path:
        who = self._identity or Identity(uid=os.geteuid(), gid=os.getegid())
        as_root = self._identity is not None
        return own_folder(Path(self.homes), self.user.name, uid=who.uid, gid=who.gid, as_root=as_root)

    async def launch(self, permit: Permit) -> tuple[str, int]:
        """Start the wrapper, hand it the document, return when it has become the notebook."""
        self.port = random_port()
        document = self._document(permit)
        self.proc = Popen(  # noqa: ASYNC220  # returns at once; LocalProcessSpawner wants a Popen
            [sys.executable, "-I", "-S", wrapper.__file__],
            stdin=PIPE,
            stderr=PIPE,
            stdout=DEVNULL,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath, **permit.environment},  # its mark: the queue takes a claim from no other process
        )
        self.pid = self.proc.pid
        self.pid_started = started(self.pid) or 0
        reason = await converse(self.proc, json.dumps(document).encode())
        if reason:
            raise LaunchFailed(reason)
        return (self.ip or "127.0.0.1", self.port)

    def _document(self, permit: Permit) -> dict[str, Any]:
        who = self._identity
        return {
            "ticket": permit.ticket,
            "claim_url": url_path_join(self.manager_url, "/spawner/v1/claims"),
            "uid": who.uid if who else None,
            "gid": who.gid if who else None,
            "groups": [*who.groups] if who else [],
            "env": self.get_env(),
            "cwd": self._home,
            "cgroups": [*permit.cgroups],
            "argv": [*self.cmd, *self.get_args()],
            "log": str(Path(self._home) / ".gpuqueue" / f"job-{permit.job.id}-{permit.launch}.log"),
        }

    async def poll_launch(self) -> int | None:
        """None while the process lives; named by pid and start time."""
        if self.proc is not None and self.proc.pid == self.pid:
            status: int | None = self.proc.poll()
            return status
        return None if self.pid and started(self.pid) == self.pid_started else 0

    async def exit_status(self) -> int | None:
        """Only a parent learns it: of a process that an earlier Hub started it is not known."""
        return self.proc.poll() if self.proc is not None and self.proc.pid == self.pid else None

    async def end_launch(self, *, now: bool = False) -> None:
        """End the process and its group: asked to, then told to, then killed."""
        ladder = [(signal.SIGINT, self.interrupt_timeout), (signal.SIGTERM, self.term_timeout)]
        for number, limit in [*([] if now else ladder), (signal.SIGKILL, self.kill_timeout)]:
            if not await self._signal(number):
                return
            if await self._gone(within=limit):
                return
        self.log.warning("Process %s of %s does not end", self.pid, self._log_name)

    async def _signal(self, sig: int) -> bool:
        if not self.pid or await self.poll_launch() is not None:
            return False
        try:
            os.killpg(self.pid, sig)  # it leads a session of its own, so this is its group too
        except ProcessLookupError:
            return False
        return True

    async def _gone(self, *, within: float) -> bool:
        for _ in range(max(1, round(within / LOOK_EVERY_S))):
            if await self.poll_launch() is not None:
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False

    def get_state(self) -> dict[str, Any]:
        """What a later Hub process must know of this process."""
        state = super().get_state()
        return {**state, "pid_started": self.pid_started} if self.pid else dict(state)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over from an earlier Hub process."""
        super().load_state(state)
        self.pid_started = int(state.get("pid_started", 0))

    def clear_state(self) -> None:
        """Forget the process."""
        super().clear_state()
        self.proc = None  # type: ignore[assignment]
        self.pid_started = 0


@functools.cache
def _warn_shared(log: Any) -> None:
    log.warning(SHARED_WORDS, os.geteuid())
