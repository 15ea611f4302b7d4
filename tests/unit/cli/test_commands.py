"""The command `gpuqueue`: which sub-commands there are, and what happens to a wrong one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gpuqueue_spawner import __version__
from gpuqueue_spawner.cli import COMMANDS, command, main


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`gpuqueue --version`."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Also without any argument."""
    status = main(arguments)
    said = capsys.readouterr().out

    assert status == 0
    assert [name for name in COMMANDS if f"  {name}" not in said] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there(name: str) -> None:
    """What the table names can be imported and called."""
    assert callable(command(name))


def test_an_unknown_command_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, as for any wrong usage."""
    assert main(["lunch"]) == 2
    assert "there is no command 'lunch'" in capsys.readouterr().err


def test_a_database_is_made_upgraded_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`upgrade-db` makes a new one; `backup` copies it and overwrites nothing."""
    url = f"sqlite:///{tmp_path}/queue.sqlite"

    made = main(["upgrade-db", "--db", url])
    again = main(["upgrade-db", "--db", url])
    copied = main(["backup", "--db", url, str(tmp_path / "copy.sqlite")])
    refused = main(["backup", "--db", url, str(tmp_path / "copy.sqlite")])

    assert (made, again, copied, refused) == (0, 0, 0, 1)
    assert "exists already" in capsys.readouterr().err
    with sqlite3.connect(tmp_path / "copy.sqlite") as copy:
        assert copy.execute("select count(*) from jobs").fetchone() == (0,)


def test_the_manager_s_configuration_names_the_database(tmp_path: Path) -> None:
    """`-f FILE`, so that nobody has to write the URL twice."""
    configuration = tmp_path / "manager_config.py"
    configuration.write_text(f"c.ManagerApp.data_dir = {str(tmp_path)!r}\n")

    status = main(["upgrade-db", "-f", str(configuration)])

    assert status == 0
    assert (tmp_path / "gpuqueue.sqlite").exists()


def test_an_old_database_is_not_copied_by_a_newer_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told which command helps."""
    url = f"sqlite:///{tmp_path}/queue.sqlite"
    sqlite3.connect(tmp_path / "queue.sqlite").close()

    status = main(["backup", "--db", url, str(tmp_path / "copy.sqlite")])

    assert status == 1
    assert "gpuqueue upgrade-db" in capsys.readouterr().err
