"""What the manager refuses at its start, in one line that says what to do, before it touches the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuqueue_spawner.service.app import ManagerApp

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_hub_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a Hub that runs the tests is taken for the site's."""
    for name in ("GPUQUEUE_DB_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def private(path: Path, content: str, mode: int = 0o600) -> Path:
    """A file of the site."""
    path.write_text(content)
    path.chmod(mode)
    return path


def refused(folder: Path, *lines: str) -> str:
    """What `gpuqueue manager -f FILE` says before it ends."""
    configuration = folder / "manager_config.py"
    settings = [f"data_dir = {str(folder)!r}", "port = 1", "upgrade_db = True", "ip = '192.0.2.1'", *lines]
    configuration.write_text("".join(f"c.ManagerApp.{line}\n" for line in settings))
    ManagerApp.clear_instance()
    with pytest.raises(SystemExit) as ended:
        ManagerApp.launch_instance(["-f", str(configuration)])
    return str(ended.value)


def test_a_token_of_the_hub_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """It starts and stops everybody's servers."""
    token = private(tmp_path / "token", TOKEN, 0o644)

    said = refused(tmp_path, f"hub_token_file = {str(token)!r}")

    assert "token holds a secret and may be read by others; allowed is mode 0600" in said
    assert TOKEN not in said


@pytest.mark.parametrize("content", ["", "\n", "two words", "one\ntwo", "\u00fc"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    """An empty one is what a failed `openssl` leaves."""
    token = private(tmp_path / "token", content)

    assert "holds no API token of the Hub" in refused(tmp_path, f"hub_token_file = {str(token)!r}")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Missing, a folder, short, or for everybody to read."""
    token = f"hub_token_file = {str(private(tmp_path / 'token', TOKEN))!r}"
    short = private(tmp_path / "short", "short")
    public = private(tmp_path / "public", TOKEN, 0o640)

    assert "cannot use /nowhere/token: No such file" in refused(tmp_path, "hub_token_file = '/nowhere/token'")
    assert f"cannot use {tmp_path}" in refused(tmp_path, token, f"spawner_secret_file = {str(tmp_path)!r}")
    assert "allowed is 32 or more" in refused(tmp_path, token, f"spawner_secret_file = {str(short)!r}")
    assert "allowed is mode 0600" in refused(tmp_path, token, f"cookie_secret_file = {str(public)!r}")
    assert "which cannot be used: " in refused(tmp_path, token, f"data_dir = {str(short)!r}")


def test_the_command_that_upgrades_names_the_file_that_names_the_database(tmp_path: Path) -> None:
    """Without it, it would make another database in the working folder, and say that all is well."""
    said = refused(tmp_path, "upgrade_db = False")

    assert said.endswith(f"run `gpuqueue upgrade-db` with `-f {tmp_path / 'manager_config.py'}`")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("port = 99999", "99999"),
        ("base_url = 'hub'", "ManagerApp.base_url is 'hub'; allowed is a path with slashes on both ends"),
        ("database_limit = 0", "ManagerApp.database_limit is 0.0; allowed is a number of seconds above 0"),
        ("database_limit = float('nan')", "ManagerApp.database_limit is nan"),
        ("db_url = 'nonsense'", "the database's address is not of the form sqlite:///FILE"),
        ("db_url = 'oracle://x/y'", "a queue cannot be kept in oracle"),
        ("help_url = ''; c.Policy.max_lease = 0", "Policy.max_lease is 0.0; allowed is a number of seconds above 0"),
        ("help_url = ''; c.Policy.warning = float('nan')", "Policy.warning is nan; allowed is 0 or more"),
        ("help_url = ''; c.Policy.keep_ended = float('inf')", "Policy.keep_ended is inf; allowed is 0 or more"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    tmp_path: Path, line: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not taken for the nearest one that works."""
    token = f"hub_token_file = {str(private(tmp_path / 'token', TOKEN))!r}"

    said = refused(tmp_path, token, line)

    assert words in said + capfd.readouterr().err
