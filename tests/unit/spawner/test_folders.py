"""Numeric users and folders of pods: the directory's numbers, the share, and names that never meet. No cluster."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from traitlets import TraitError

from gpuqueue_spawner.spawner.errors import InvalidOption, SpawnRefused
from tests.services.program import free_port

from .kubespawners import no_cluster, spawner

STATE = {"uid": 4321, "gid": 4322, "gids": [5000, 5001]}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cluster(tmp_path, monkeypatch)


async def spec_of(**config: Any) -> dict[str, Any]:
    """The manifest that a request leads to."""
    it = spawner(**config)
    await it.wish()
    spec: dict[str, Any] = it._document(await it.get_pod_manifest())["spec"]
    return spec


async def test_the_pod_runs_as_the_directory_says() -> None:
    """Sidecars and init containers too; the site's own groups stay."""
    sidecar = {"name": "logs", "image": "x"}
    spec = await spec_of(auth_state=STATE, uid=1000, gid=100, supplemental_gids=[7000], extra_containers=[sidecar])

    pod, notebook = spec["securityContext"], spec["containers"][0]["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"], pod["supplementalGroups"]) == (4321, 4322, [5000, 5001, 7000])
    assert (notebook["runAsUser"], notebook["runAsGroup"]) == (4321, 4322)
    assert notebook["capabilities"] == {"drop": ["ALL"]}
    assert pod["runAsNonRoot"] is True


@pytest.mark.parametrize(
    "config", [{"auth_state": None}, {"auth_state": {}}, {"auth_state": STATE, "directory_users": False}]
)
async def test_without_a_number_the_site_s_own_holds(config: dict[str, Any]) -> None:
    spec = await spec_of(uid=1000, **config)

    assert spec["containers"][0]["securityContext"]["runAsUser"] == 1000
    assert "runAsUser" not in spec["securityContext"]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"auth_state": {"uid": 999, "gid": 4322}}, "uid"),
        ({"auth_state": {"uid": 0}}, "uid"),
        ({"uid": 0}, "uid of notebook"),
        ({"pod_security_context": {"runAsUser": 33}}, "uid of notebook"),
        (
            {"init_containers": [{"name": "stage", "image": "x", "securityContext": {"runAsUser": 0}}]},
            "uid of stage",
        ),
        (
            {
                "profile_list": [{"display_name": "Root", "slug": "r", "kubespawner_override": {"uid": 999}}],
                "options": {"profile": "r"},
            },
            "uid of notebook",
        ),
    ],
)
async def test_a_user_of_the_system_is_refused_wherever_it_comes_from(config: dict[str, Any], field: str) -> None:
    """With field, value and what is allowed, before anything waits."""
    with pytest.raises(InvalidOption, match=r"allowed is 1000 or more") as error:
        await spec_of(**config)

    assert error.value.field == field
    assert int(str(error.value.value)) < 1000


async def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(SpawnRefused, match="which notebooks may not have"):
        await spec_of(auth_state={"uid": "4321"})


async def test_home_data_and_scratch_are_mounted_beside_the_site_s_own() -> None:
    spec = await spec_of(
        user="ada",
        share="nfs:/export",
        homes_folder="storage/share",
        data_sets={"data": "/data"},
        scratch_size="10Gi",
        volumes=[{"name": "own", "emptyDir": {}}],
        volume_mounts=[{"name": "own", "mountPath": "/own"}],
    )

    assert [each["name"] for each in spec["volumes"]] == ["own", "gpuqueue-share", "gpuqueue-scratch"]
    notebook = spec["containers"][0]
    assert [(each["mountPath"], each.get("subPath")) for each in notebook["volumeMounts"]] == [
        ("/own", None),
        ("/home/jovyan", "storage/share/ada"),
        ("/data", "data"),
        ("/scratch", None),
    ]
    assert notebook["workingDir"] == "/home/jovyan"


async def test_the_servers_of_a_person_mount_one_claim_and_other_people_s_another() -> None:
    """Whatever KubeSpawner calls its own claims."""

    async def claim_of(**config: Any) -> str:
        spec = await spec_of(auth_state=STATE, home_claims=True, homes_url="http://127.0.0.1:9", **config)
        (home,) = (each for each in spec["volumes"] if each["name"] == "gpuqueue-home")
        assert spec["containers"][0]["volumeMounts"] == [{"name": "gpuqueue-home", "mountPath": "/home/jovyan"}]
        assert spec["containers"][0]["workingDir"] == "/home/jovyan"
        return str(home["persistentVolumeClaim"]["claimName"])

    ada = await claim_of(user="ada")
    assert ada == await claim_of(user="ada", pvc_name_template="other-{user_server}", storage_pvc_ensure=True)
    assert ada != await claim_of(user="Ada")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("home_claims", True),
        ("minimum_uid", 0),
        ("share", "/export"),
        ("homes_folder", "../x"),
        ("data_sets", {"/data": "/data"}),
        ("data_sets", {"data": "data"}),
        ("home_path", "home"),
        ("scratch_path", "scratch"),
        ("scratch_size", "a lot"),
        ("scratch_size", "0"),
        ("mount_timeout", 0.0),
        ("gone_timeout", -1.0),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_name(name: str, value: object) -> None:
    with pytest.raises(TraitError, match=f"GPUQueueKubeSpawner.{name} is .*; allowed is"):
        spawner(**{name: value})


async def test_without_a_number_no_folder_is_asked_for() -> None:
    """The page says what is missing, before anything waits."""
    with pytest.raises(SpawnRefused, match="the directory has no numeric user for you"):
        await spec_of(share="nfs:/export", homes_url="http://127.0.0.1:1")


async def test_a_service_that_is_away_refuses_nobody_who_will_wait(tmp_path: Path) -> None:
    """It is asked again at the launch."""
    (tmp_path / "secret").write_text("s" * 40)
    url = f"http://127.0.0.1:{free_port()}"

    assert await spec_of(auth_state=STATE, share="nfs:/x", homes_url=url, homes_secret_file=str(tmp_path / "secret"))


NAMES = st.text(st.sampled_from("aA.-_1ä%/"), min_size=1, max_size=70)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=st.tuples(NAMES, NAMES | st.just("")), other=st.tuples(NAMES, NAMES | st.just("")))
@example(one=("a-b", "c"), other=("a", "b-c"))
@example(one=("a--b", ""), other=("a", "b"))
@example(one=("a.b", ""), other=("a-b", ""))
@example(one=("Ada", ""), other=("ada", ""))
async def test_two_people_or_servers_never_meet_in_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Of a pod, a claim, a folder; whatever dots, capitals and dashes are in theirs."""
    it = spawner(share="nfs:/export")
    seen = []
    for it.user.name, server in (one, other):
        it.orm_spawner = SimpleNamespace(name=server, server=None)
        names = [it._expand_user_properties(template) for template in (it.pod_name_template, it.pvc_name_template)]
        labels = it._build_pod_labels({})
        mine = tuple(labels[f"hub.jupyter.org/{kind}"] for kind in ("username", "servername"))
        seen.append((*names, mine))

    same = one == other
    assert [a == b for a, b in zip(*seen, strict=True)] == [same] * 3
