"""What the doctor says of the two configuration files, without anything that runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.program import free_port

from .examined import examined, problems

HUB = """
from gpuqueue_spawner.hub import configure
c = get_config()
c.JupyterHub.authenticator_class = "dummy"
c.GPUQueueLocalSpawner.homes = "{folder}/homes"
{before}
configure(c, service_token="{token}", spawner_secret_file="{folder}/spawner_secret", manager_url="{manager}")
{after}
"""
MANAGER = """
c = get_config()
c.ManagerApp.port = {port}
c.ManagerApp.data_dir = "{folder}"
c.ManagerApp.hub_token_file = "{folder}/token"
c.ManagerApp.hub_api_url = "http://127.0.0.1:{nobody}/hub/api"
c.LocalCapacity.simulated_gpus = 2
{more}
"""
TOKEN = "0123456789abcdef0123456789abcdef"


class Files:
    """A site's files in a folder of their own; nothing runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.nobody = free_port(), free_port()
        self.manager, self.hub = folder / "manager_config.py", folder / "jupyterhub_config.py"
        for name, text in (("token", TOKEN), ("spawner_secret", "s" * 64), ("cookie_secret", "c" * 64)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        self.write()

    def write(self, *, before: str = "", after: str = "", more: str = "", **named: str) -> None:
        """Both files, with what a test adds."""
        manager = named.get("manager_url", f"http://127.0.0.1:{self.port}")
        token = named.get("token", TOKEN)
        self.hub.write_text(HUB.format(folder=self.folder, before=before, after=after, token=token, manager=manager))
        self.manager.write_text(MANAGER.format(folder=self.folder, port=self.port, nobody=self.nobody, more=more))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_files_that_agree_are_in_order(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what does not run is wrong; nothing was made or changed by looking."""
    before = {path: path.stat().st_mtime_ns for path in files.folder.iterdir()}

    found = examined(capsys, "--config", files.manager, "--hub-config", files.hub)

    # Whether the folders above a test's own can be entered is not its matter.
    assert problems(found) - {"machine.homes"} == {"hub.answers", "manager.answers", "database.answers"}
    assert found["hub.token"].seen == "hub.answers must be in order first"
    assert {path: path.stat().st_mtime_ns for path in files.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("c.ManagerApp.prot = 1", "c.ManagerApp.prot is no setting; did you mean port?"),
        ("c.Policy.gpus = -1", "Policy"),
        ("c.LocalCapacity.cpus = -2.0", "LocalCapacity.cpus is -2.0"),
        ("import nowhere", "No module named 'nowhere'"),
        ("raise SystemExit(7)", "7"),
    ],
)
def test_a_manager_s_file_that_would_not_be_taken_is_quoted(
    more: str, says: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write(more=more)

    found = examined(capsys, "--config", files.manager)

    assert problems(found) - {"manager.answers"} == {"manager.settings"}, "no manager runs here"
    assert says in found["manager.settings"].seen
    assert found["hub.file"].seen == "no --hub-config FILE of the Hub was given"


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ("c.Spawner.start_timeout = 60", "c.Spawner.start_timeout is 60: set it to 315360000"),
        ("c.JupyterHub.active_server_limit = 5", "c.JupyterHub.active_server_limit is 5"),
        ("c.JupyterHub.services = []", "the list with the service 'gpuqueue' in it"),
        ("c.DummyAuthenticator.refresh_pre_spawn = True", "c.Authenticator.refresh_pre_spawn is True"),
    ],
)
def test_a_setting_of_the_hub_against_the_queue_is_named(
    after: str, says: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words that the Hub itself says at start."""
    files.write(after=after)

    found = examined(capsys, "--hub-config", files.hub)

    assert "hub.settings" in problems(found)
    assert says in found["hub.settings"].words


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ("c.JupyterHub.spawner_class = 'simple'", "SimpleLocalProcessSpawner, which asks no queue"),
        ("raise ValueError('of the site')", "ValueError: of the site"),
        ("import os; os._exit(3)", "exit status 3"),
    ],
)
def test_a_hub_s_file_that_leads_to_no_queue_is_a_problem(
    after: str, says: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run by a process of its own."""
    files.write(after=after)

    found = examined(capsys, "--hub-config", files.hub)

    assert says in found["hub.file"].seen
    assert found["hub.settings"].outcome == "not checked"


def test_what_a_hub_s_file_prints_does_no_harm(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.write(after="print('hello'); import os; os.write(1, b'{}')")

    assert examined(capsys, "--hub-config", files.hub)["hub.file"].outcome == "ok"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"token": "f" * 32}, "service_token"),
        ({"manager_url": "http://127.0.0.1:1"}, "asks the manager at http://127.0.0.1:1"),
        ({"after": "c.QueueingMixin.spawner_secret_file = '{folder}/cookie_secret'"}, "read one secret"),
        ({"after": "c.QueueingMixin.spawner_secret_file = '/nowhere'"}, "it looks at '/nowhere'"),
    ],
)
def test_two_files_that_do_not_agree_say_in_what(
    named: dict[str, str], says: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no secret is told."""
    files.write(**{key: value.replace("{folder}", str(files.folder)) for key, value in named.items()})

    found = examined(capsys, "--config", files.manager, "--hub-config", files.hub)

    assert says in found["hub.agreement"].words
    assert not any(secret in each.words for each in found.values() for secret in (TOKEN, "f" * 32, "s" * 64))


def test_secrets_are_for_their_owner_alone(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    (files.folder / "spawner_secret").chmod(0o644)
    assert "may be read by others" in examined(capsys, "--config", files.manager)["manager.secrets"].seen

    (files.folder / "spawner_secret").chmod(0o600)
    (files.folder / "spawner_secret").write_text("short")
    assert "too short" in examined(capsys, "--config", files.manager)["manager.secrets"].seen

    (files.folder / "spawner_secret").unlink()
    found = examined(capsys, "--config", files.manager)["manager.secrets"]
    assert (found.outcome, "not made yet" in found.seen) == ("warning", True)
    assert not (files.folder / "spawner_secret").exists(), "looking made it"

    (files.folder / "token").unlink()
    assert "cannot be read" in examined(capsys, "--config", files.manager)["manager.secrets"].seen


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, unlike a test's own."""
    with tempfile.TemporaryDirectory(prefix="gpuqueue-doctor-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_folders_that_no_notebook_can_enter_are_named(open_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one of those above."""
    files = Files(open_folder)
    (files.folder / "homes").mkdir(mode=0o755)
    well = examined(capsys, "--config", files.manager, "--hub-config", files.hub)["machine.homes"]

    files.folder.chmod(0o700)
    found = examined(capsys, "--config", files.manager, "--hub-config", files.hub)["machine.homes"]

    assert well.outcome == "ok", well.words
    assert (found.outcome, found.todo) == ("problem", (f"chmod o+x {files.folder}",))


def test_pretended_gpus_are_told_apart_from_real_ones(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    found = examined(capsys, "--config", files.manager)["machine.gpus"]

    assert (found.outcome, found.seen) == ("warning", "2 simulated GPUs are given out, which no program can use.")
