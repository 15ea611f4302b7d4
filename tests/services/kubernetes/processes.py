"""What is done to a pod's process on its node, behind the cluster's back: killed, paused, cut off.

Knows /proc and iptables. Our own process namespace holds those of the nodes and their pods, so all are seen from here.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.services.program import until

from .namespaces import run

STOPPED_S = 5


class PodProcess:
    """The process in a pod whose command line has all these words; found anew each time, as it may be another one."""

    def __init__(self, pod: str, *words: str) -> None:
        self.pod = pod
        self._words = words

    @property
    def pid(self) -> int:
        """As seen from here."""
        found = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if self._is_it(pid)]
        assert len(found) == 1, f"{self.pod} has {len(found)} processes {' '.join(self._words)}"
        return found[0]

    def _is_it(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"HOSTNAME={self.pod}".encode() in environment:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                return words[0] != "tini" and set(self._words) <= set(words)
        return False

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)

    def pause(self) -> None:
        """Stop it where it is."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        state = Path(f"/proc/{pid}/stat")
        until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", within=STOPPED_S, what="it stands still")

    def resume(self) -> None:
        """Let it go on, if it is still that one."""
        os.kill(self.pid, signal.SIGCONT)

    def cut(self, *which: str) -> None:
        """Drop its pod's packets, in and out; all of them, or those that iptables knows by these words.

        As `--dport 5432` would for what goes out, a word `port` stands for both directions.
        """
        for chain, port in (("INPUT", "--sport"), ("OUTPUT", "--dport")):
            self._iptables("-A", chain, *(port if word == "port" else word for word in which), "-j", "DROP")

    def heal(self) -> None:
        """Let everything through again."""
        self._iptables("-F")

    def _iptables(self, *rule: str) -> None:
        run("nsenter", f"--target={self.pid}", "--net", "iptables", *rule)
