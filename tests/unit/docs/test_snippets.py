"""Every example of Python in the documentation works as it stands."""

from __future__ import annotations

import doctest
import pwd
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.app import JupyterHub
from traitlets import TraitError

from gpuqueue_spawner.spawner import SpawnRefused
from gpuqueue_spawner.spawner.profiles import Rules, read_wish

from .configurations import PROGRAMS, check, load
from .snippets import Snippet, snippets

PYTHON = snippets("python")
CONFIGURATIONS = [snippet for snippet in PYTHON if snippet.file in PROGRAMS]
SESSIONS = [snippet for snippet in PYTHON if snippet.text.startswith(">>>")]
PROGRAM_TEXTS = [snippet for snippet in PYTHON if snippet not in CONFIGURATIONS and snippet not in SESSIONS]


@pytest.mark.parametrize("snippet", CONFIGURATIONS, ids=str)
def test_a_piece_of_configuration_is_taken(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    c, _ = load(snippet.file, snippet.text, monkeypatch)

    check(snippet.file, c)


@pytest.mark.parametrize("snippet", SESSIONS, ids=str)
def test_a_session_prints_what_it_says(snippet: Snippet) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    test = doctest.DocTestParser().get_doctest(snippet.text, {}, str(snippet), snippet.page, snippet.line)

    runner.run(test)

    assert runner.summarize(verbose=False).failed == 0
    assert test.examples


@pytest.mark.parametrize("snippet", PROGRAM_TEXTS, ids=str)
def test_any_other_python_runs(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook with GPUs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2")

    exec(compile(snippet.text, str(snippet), "exec"), {})  # noqa: S102  # our own documentation


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("manager_config.py", "c.ManagerApp.prot = 1"),
        ("manager_config.py", "c.Policy.gpus = 'many'"),
        ("manager_config.py", "c.Policy.warning = -1.0"),
        ("manager_config.py", "c.QueueingMixin.max_hours = 1"),
        ("jupyterhub_config.py", "c.QueueingMixin.max_hours = 0"),
        ("jupyterhub_config.py", "c.GPUQueueLocalSpawner.home = '/home'"),
        ("jupyterhub_config.py", "c.JupyterHub.authenticator_class = 'gpuqueue-ldpa'"),
    ],
)
def test_a_wrong_piece_would_be_noticed(file: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that does not exist, a value that is refused, a class of the other program."""
    c, _ = load(file, text, monkeypatch)

    with pytest.raises((AssertionError, TraitError, ValueError)):
        check(file, c)


def test_the_readme_makes_a_hub_with_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its five lines are enough."""
    snippet = next(each for each in CONFIGURATIONS if each.page == "README.md" and each.file.startswith("jupyterhub"))

    c, _ = load(snippet.file, snippet.text, monkeypatch)
    hub = JupyterHub(config=c)

    assert len(snippet.text.strip().splitlines()) <= 6, "five lines, and the one that names the file"
    assert [service["name"] for service in hub.services] == ["gpuqueue"]
    assert hub.spawner_class.__name__ == "GPUQueueLocalSpawner"


def test_the_profiles_of_the_guide_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each choice, and a number that is not listed."""
    c, _ = load(*_piece("docs/howto/existing-hub.md", "profile_list"), monkeypatch)
    profiles = c.QueueingMixin.profile_list

    def gpus(**options: str) -> dict[str, int]:
        wish = read_wish(options, profile_list=profiles, rules=Rules(default_hours=8, max_hours=24))
        return dict(wish.resources.gpus)

    assert gpus() == {}
    assert gpus(profile="gpus") == {"nvidia.com/gpu": 1}
    assert gpus(profile="gpus", count="four") == {"nvidia.com/gpu": 4}
    assert gpus(profile="gpus", **{"count--unlisted-choice": "6"}) == {"nvidia.com/gpu": 6}


def test_profiles_may_depend_on_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    _, names = load(*_piece("docs/howto/spawner.md", "profile_list = profiles"), monkeypatch)

    def offered(*groups: str) -> list[str]:
        user = SimpleNamespace(groups=[SimpleNamespace(name=name) for name in groups])
        return [profile["slug"] for profile in names["profiles"](SimpleNamespace(user=user))]

    assert offered() == ["one"]
    assert offered("large-models") == ["one", "all"]


async def test_a_site_may_say_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wish of the guide's own spawner, and its refusal in words."""
    c, _ = load(*_piece("docs/howto/spawner.md", "CourseSpawner"), monkeypatch)
    spawner = c.JupyterHub.spawner_class

    def asking(server: str) -> Any:
        return spawner.wish(SimpleNamespace(name=server, user_options={}))

    assert (await asking("course_vision")).resources.gpu_count == 1
    with pytest.raises(SpawnRefused, match="demo is no course"):
        await asking("demo")


def test_accounts_of_the_machine_bring_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    _, names = load(*_piece("docs/howto/existing-hub.md", "post_auth_hook"), monkeypatch)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=1234, pw_gid=1235))

    login = names["numbers_of_this_machine"](None, None, {"name": "alice"})

    assert login["auth_state"] == {"uid": 1234, "gid": 1235}


def _piece(page: str, holds: str) -> tuple[str, str]:
    found = next(each for each in CONFIGURATIONS if each.page == page and holds in each.text)
    return found.file, found.text
