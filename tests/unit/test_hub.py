"""What configure() does to a site's configuration, on the Hub that is installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jupyterhub
import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.spawner import LocalProcessSpawner
from traitlets.config import Config

from gpuqueue_spawner.hub import ACCESS, PAGES, configure, refuses_hyphens
from gpuqueue_spawner.spawner import GPUQueueLocalSpawner
from gpuqueue_spawner.spawner.advice import advice

HUB_6 = jupyterhub.version_info >= (6,)


def configured(c: Config | None = None, **options: Any) -> JupyterHub:
    """A Hub that has read the configuration; it is not started."""
    c = c or Config()
    configure(c, service_token="token", spawner_secret_file="/run/secret", **options)
    return JupyterHub(config=c)


def roles(hub: JupyterHub) -> dict[str, dict[str, Any]]:
    return {role["name"]: role for role in hub.load_roles}


def test_it_adds_to_what_the_site_has():
    """Services, roles, scopes, template paths and tornado settings of the site stay."""
    c = Config()
    c.JupyterHub.services = [{"name": "culler", "api_token": "x"}]
    c.JupyterHub.load_roles = [{"name": "culler", "scopes": ["list:users"], "services": ["culler"]}]
    c.JupyterHub.template_paths = ["/site/templates"]
    c.JupyterHub.tornado_settings = {"headers": {}}
    c.JupyterHub.custom_scopes = {"custom:site": {"description": "the site's"}}
    c.Spawner.http_timeout = 60

    hub = configured(c)

    assert [service["name"] for service in hub.services] == ["culler", "gpuqueue"]
    assert {"culler", "gpuqueue-service"} <= {*roles(hub)}
    assert hub.template_paths[:3] == ["/site/templates", *PAGES]
    assert hub.tornado_settings == {"headers": {}, "slow_spawn_timeout": 0}
    assert {"custom:site", "custom:gpuqueue:admin"} <= {*hub.custom_scopes}
    assert c.Spawner.http_timeout == 60


def test_lists_that_the_site_only_appended_to_stay_too():
    """A site may append without assigning."""
    c = Config()
    c.JupyterHub.services.append({"name": "culler"})
    c.JupyterHub.load_roles.append({"name": "user", "scopes": ["self", "read:hub"]})
    c.JupyterHub.tornado_settings.update({"headers": {}})

    hub = configured(c)

    assert [service["name"] for service in hub.services] == ["culler", "gpuqueue"]
    assert roles(hub)["user"]["scopes"] == ["self", "read:hub", ACCESS]
    assert hub.tornado_settings == {"headers": {}, "slow_spawn_timeout": 0}
    assert hub.template_paths[:2] == [*PAGES]


def test_rights_fit_the_installed_hub():
    """Starting needs another scope on 5.5 than on 6, and so does what every user may."""
    hub = configured(admins=["root"], admin_groups=["DGX-Admins"], operators=["ops"])

    service = roles(hub)["gpuqueue-service"]
    assert service["services"] == ["gpuqueue"]
    assert ("start:servers" in service["scopes"]) == HUB_6
    if HUB_6:
        assert ACCESS in hub.extra_user_scopes
        assert "user" not in roles(hub)
    else:
        assert roles(hub)["user"]["scopes"] == ["self", ACCESS]
    assert roles(hub)["gpuqueue-admin"] == {
        "name": "gpuqueue-admin",
        "scopes": ["custom:gpuqueue:admin", ACCESS],
        "users": ["root"],
        "groups": ["DGX-Admins"],
    }
    assert "groups" not in roles(hub)["gpuqueue-operate"]


@pytest.mark.parametrize(
    ("pattern", "refuses"),
    [
        (r"^[a-z][a-z0-9_.]*\Z", True),
        (r"^[a-z]+$", True),
        (r"^\w+$", True),
        (r"[a-z]+", False),
        (r"^.*$", False),
        (r"^[a-z-]+$", False),
        (r"^[a-z\-]+$", False),
        (r"^[^/]+$", False),
        (r"^\S+$", False),
        (r"^[!-z]+$", False),
        (r"^[ -~]+$", False),
        (r"^a|b$", False),
        (r"^[a-z]\x2d[a-z]$", False),
    ],
)
def test_a_pattern_that_may_let_a_hyphen_through_does_not_count(pattern: str, refuses: bool):
    """What cannot be told for sure is no."""
    assert refuses_hyphens(pattern) is refuses


def test_named_servers_need_a_pattern_without_hyphens(caplog: pytest.LogCaptureFixture):
    """Without one they stay off, and it says why."""
    c = Config()
    c.Authenticator.username_pattern = r"^[a-z][a-z0-9_.]*\Z"

    allowed, refused = configured(c, named_servers=3), configured(named_servers=3)

    assert (allowed.allow_named_servers, allowed.named_server_limit_per_user) == (True, 3)
    assert not refused.allow_named_servers
    assert "Named servers stay off" in caplog.text


def fake(hub: JupyterHub, **changes: Any) -> Any:
    """As a started Hub looks to the adviser."""
    names = ["concurrent_spawn_limit", "active_server_limit", "cleanup_servers", "services", "tornado_settings"]
    settings = {name: getattr(hub, name) for name in [*names, "config"]}
    settings["authenticator"] = SimpleNamespace(refresh_pre_spawn=changes.pop("refresh_pre_spawn", False))
    return SimpleNamespace(**{**settings, "spawner_class": LocalProcessSpawner, **changes})


def test_a_configured_hub_gets_no_advice():
    """configure() leaves nothing to say."""
    assert advice(fake(configured())) == []


def test_a_hub_without_profiles_is_looked_at_all_the_same():
    """The five lines of the README have none."""
    found = advice(fake(configured(), spawner_class=GPUQueueLocalSpawner, active_server_limit=9))

    assert [each.setting for each in found] == ["c.JupyterHub.active_server_limit"]


def test_each_setting_against_the_queue_is_named_with_the_value_to_give():
    """A stock Hub works against it in many ways."""
    culler = {"name": "culler", "command": ["python3", "-m", "jupyterhub_idle_culler", "--max-age=3600"]}
    c = Config()
    c.LocalProcessSpawner.start_timeout = 60

    found = advice(fake(JupyterHub(config=c), services=[culler], active_server_limit=9, refresh_pre_spawn=True))

    assert {each.setting: each.give for each in found} == {
        'c.JupyterHub.tornado_settings["slow_spawn_timeout"]': "0",
        "c.JupyterHub.concurrent_spawn_limit": "0",
        "c.JupyterHub.active_server_limit": "0",
        "c.JupyterHub.cleanup_servers": "False",
        "c.Authenticator.refresh_pre_spawn": "False",
        "c.LocalProcessSpawner.start_timeout": "315360000",
        "c.JupyterHub.services": "the list with the service 'gpuqueue' in it, as configure() adds it",
        "--max-age of the service 'culler'": "0, and let the queue's leases end what runs for too long",
    }


def test_pages_are_where_the_paths_say():
    """Also once it is installed."""
    assert all(Path(page).is_dir() for page in PAGES)


def test_what_pages_find_in_template_vars_survives_that_the_hub_calls_it():
    """The Hub calls every callable there with the reader, None before the login; pages see what comes back."""
    for value in configured().template_vars.values():
        assert callable(value(SimpleNamespace(name="aneh")))
        assert callable(value(None))
