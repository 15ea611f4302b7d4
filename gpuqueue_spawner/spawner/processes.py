"""Processes of this machine, named by pid and start time, and the short talk with the wrapper of a launch.

Knows /proc and pipes; no queue, no user. Who starts and ends them: local.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from subprocess import Popen


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None: there is none, or only its exit status is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


async def converse(process: Popen[bytes], document: bytes) -> str:
    """Give the wrapper its document; what it says before it is gone or has become the notebook."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, process.stderr)
    try:
        await loop.run_in_executor(None, _write, process, document)  # a long environment fills the pipe
        said = await reader.read()
    finally:
        transport.close()
    return said.decode(errors="replace").strip()[:500]


def _write(process: Popen[bytes], document: bytes) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(document)
    except BrokenPipeError:
        pass  # it ended early; its reason is on the other pipe
