"""The service as it is run and asked: the Hub's side and the command, over HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from gpuqueue_spawner.cli import main
from gpuqueue_spawner.homes import Folders, make_app
from gpuqueue_spawner.homes.folders import ShareAway
from gpuqueue_spawner.spawner.homes import HomesAway, HomesRefused, ask_for_folder
from tests.services.program import Program, free_port, until

SECRET = "s" * 40
WANTED = {"folder": "ada", "uid": 4321, "gid": 4322}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to other users, as only root can")


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def service(tmp_path: Path, secret_file: str) -> Iterator[str]:
    """The real command; its address."""
    port = free_port()
    (tmp_path / "share/.new-left").mkdir(parents=True)
    argv = [sys.executable, "-m", "gpuqueue_spawner.cli", "homes", f"--root={tmp_path}/share", f"--port={port}"]
    program = Program("homes", [*argv, f"--secret-file={secret_file}", "--address=127.0.0.1"], tmp_path / "log")
    program.start()
    url = f"http://127.0.0.1:{port}"
    until(lambda: _answers(url), within=20, what="it answers", story=program.tail)
    yield url
    program.stop(within=5)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False


@needs_root
async def test_the_hub_asks_and_the_folder_is_there(service: str, secret_file: str, tmp_path: Path) -> None:
    for _ in range(2):
        await ask_for_folder(service, secret_file, WANTED)

    found = (tmp_path / "share/ada").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (4321, 4322, 0o700)
    assert os.listdir(tmp_path / "share") == ["ada"], "what an earlier process left is gone"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": 999}, "uid is 999; allowed is a number from 1000"),
        ({"folder": "../ada"}, r"folder is '\.\./ada'; allowed is one name"),
        ({"folder": "file"}, "what is called file on the share is not a folder"),
    ],
)
async def test_a_refusal_is_told_in_words(
    change: dict[str, Any], words: str, service: str, secret_file: str, tmp_path: Path
) -> None:
    (tmp_path / "share/file").touch()

    with pytest.raises(HomesRefused, match=words):
        await ask_for_folder(service, secret_file, WANTED | change)


async def test_without_the_secret_nothing_is_made(service: str, tmp_path: Path) -> None:
    """A wrong one, none, or one that the Hub cannot read."""
    (tmp_path / "wrong").write_text("x" * 40)

    with pytest.raises(HomesAway, match="secret is missing or wrong"):
        await ask_for_folder(service, str(tmp_path / "wrong"), WANTED)
    with pytest.raises(HomesAway, match="cannot read its secret"):
        await ask_for_folder(service, str(tmp_path / "none"), WANTED)
    without = requests.post(f"{service}/homes/v1/folders", json=WANTED, timeout=5)

    assert (without.status_code, without.json()["code"]) == (401, "gpuqueue.homes.secret")
    assert not (tmp_path / "share/ada").exists()


async def test_a_service_that_is_away_is_told(secret_file: str) -> None:
    with pytest.raises(HomesAway, match="does not answer"):
        await ask_for_folder(f"http://127.0.0.1:{free_port()}", secret_file, WANTED)


class Hangs(Folders):
    """A share whose server is gone: nothing comes back."""

    def look(self) -> None:
        """Hang."""
        with open(self.root / "pipe") as pipe:  # nobody ever opens the other end
            pipe.read()


async def test_a_share_that_hangs_is_told_and_holds_up_nobody_else(tmp_path: Path) -> None:
    """Neither the next who asks, nor, once there are many, anybody for long."""
    os.mkfifo(tmp_path / "pipe")
    server = HTTPServer(make_app(Hangs(tmp_path), allowed=lambda shown: True, smallest=1000, within=0.2))
    socket, port = bind_unused_port()
    server.add_socket(socket)

    async def ask() -> requests.Response:
        return await asyncio.to_thread(requests.get, f"http://127.0.0.1:{port}/health", timeout=10)

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    server.stop()
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    os.close(writer)

    assert {each.status_code for each in answers} == {503}
    said = {each.json()["problem"] for each in answers}
    assert said == {"the share does not answer within 0.2 s", "the share does not answer"}


def test_a_secret_that_others_may_read_is_refused(
    tmp_path: Path, secret_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chmod(secret_file, 0o644)

    assert main(["homes", f"--root={tmp_path}", f"--secret-file={secret_file}"]) == 1
    assert "may be read by others" in capsys.readouterr().err


def test_an_uid_of_the_system_is_no_smallest(
    tmp_path: Path, secret_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["homes", f"--root={tmp_path}", f"--secret-file={secret_file}", "--minimum-uid=0"]) == 1
    assert "--minimum-uid is 0; allowed is 1 or more" in capsys.readouterr().err


def test_it_ends_when_told_to_also_while_its_share_hangs(tmp_path: Path) -> None:
    """The end of a process waits for no thread that a share holds."""
    os.mkfifo(tmp_path / "pipe")
    script = (
        "import asyncio, sys, pathlib\n"
        "from gpuqueue_spawner.homes.app import Share, ShareAway\n"
        "from gpuqueue_spawner.homes.folders import Folders\n"
        "async def main():\n"
        "    share = Share(Folders(pathlib.Path('.')), within=0.1)\n"
        "    try: await share.call(lambda _: open(sys.argv[1]).read())\n"
        "    except ShareAway as away: print(away)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "pipe")], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(ShareAway("the share does not answer within 0.1 s")))
