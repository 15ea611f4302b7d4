"""Programs side by side: started again when they die, ended whatever they do about it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gpuqueue_spawner.cli import supervisor
from gpuqueue_spawner.cli.supervisor import Printer, Program, Supervisor

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


def program(code: str, **more: object) -> Program:
    return Program(name="it", argv=[sys.executable, "-c", code], **more)  # type: ignore[arg-type]


async def until(true: Callable[[], object], *, within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of tests."""
    monkeypatch.setattr(supervisor, "PAUSE_S", 0.05)
    monkeypatch.setattr(supervisor, "GRACE_S", 0.5)


async def test_what_dies_is_started_again(capsys: pytest.CaptureFixture[str]) -> None:
    """By kill -9, as by its own fault; and it is told."""
    it = Supervisor(Printer(colour=False))

    async with it.running(program("import time; time.sleep(600)")):
        await until(lambda: "it" in it.pids)
        first = it.pids["it"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: it.pids.get("it", first) != first)

    assert not psutil.pid_exists(first)
    assert "demo    it was ended by SIGKILL; it is started again" in capsys.readouterr().out


async def test_somebody_is_told_when_it_is_there_again() -> None:
    """After a new start, not after the first."""
    told: list[int] = []
    it = Supervisor(Printer(colour=False))

    async def again() -> None:
        told.append(it.pids["it"])

    async with it.running(program("import time; time.sleep(600)", again=again)):
        await until(lambda: "it" in it.pids)
        first = it.pids["it"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: told)

    assert len(told) == 1
    assert told != [first]


async def test_what_ignores_the_request_to_end_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    """After its time of grace."""
    it = Supervisor(Printer(colour=False))
    async with it.running(program(STUBBORN)):
        await until(lambda: "ready" in capsys.readouterr().out)
        pid = it.pids["it"]
        began = time.monotonic()

    assert not psutil.pid_exists(pid)
    assert 0.4 < time.monotonic() - began < 5


async def test_what_is_stopped_is_killed() -> None:
    """SIGSTOP does not save it."""
    it = Supervisor(Printer(colour=False))
    async with it.running(program("import time; time.sleep(600)")):
        await until(lambda: "it" in it.pids)
        pid = it.pids["it"]
        os.kill(pid, signal.SIGSTOP)

    assert not psutil.pid_exists(pid)


async def test_a_second_request_is_in_a_hurry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C twice: no patience with anybody."""
    monkeypatch.setattr(supervisor, "GRACE_S", 60.0)
    it = Supervisor(Printer(colour=False))
    async with it.running(program(STUBBORN)):
        await until(lambda: "ready" in capsys.readouterr().out)
        it.end()
        it.end()
        began = time.monotonic()

    assert it.ending.is_set()
    assert time.monotonic() - began < 5


async def test_what_never_comes_up_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the whole is up: time will not mend a wrong configuration."""
    it = Supervisor(Printer(colour=False))

    async with it.running(program("raise SystemExit('no such setting')")):
        await asyncio.wait_for(it.ending.wait(), 20)

    assert str(it.problem) == "it ended with status 1, 4 times in a row; what it said is above"
    assert "it      no such setting" in capsys.readouterr().out


async def test_lines_are_printed_one_by_one_with_the_program_s_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Without colours of its own, what tells nobody anything left out, and an endless line is no harm."""
    code = r"""
import time
print("\x1b[31mred\x1b[0m")
print("  at trace")
print("x" * 3000000)
print("last", flush=True)
time.sleep(60)
"""
    it = Supervisor(Printer(colour=False))

    async with it.running(program(code, unsaid=re.compile(r"^\s"))):
        said = ""
        async with asyncio.timeout(10):
            while "last" not in said:
                said += capsys.readouterr().out
                await asyncio.sleep(0.02)

    assert [line for line in said.splitlines() if len(line) < 100] == ["it      red", "it      last"]


def test_a_killed_supervisor_takes_its_programs_along(tmp_path: Path) -> None:
    """kill -9 leaves no child behind."""
    script = tmp_path / "supervise.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, sys
            from gpuqueue_spawner.cli.supervisor import Printer, Program, Supervisor

            async def main():
                it = Supervisor(Printer(colour=False))
                async with it.running(Program(name="it", argv=[sys.executable, "-c", "import time; time.sleep(600)"])):
                    while "it" not in it.pids:
                        await asyncio.sleep(0.01)
                    print(it.pids["it"], flush=True)
                    await asyncio.sleep(600)

            asyncio.run(main())
            """
        )
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))

        parent.kill()

        child.wait(timeout=10)
    assert not child.is_running()
