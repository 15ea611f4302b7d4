"""The service with volumes, asked by the Hub's side, before an API server that does not always do what it should."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from gpuqueue_spawner.cli import main
from gpuqueue_spawner.homes import Folders, cluster, make_app
from gpuqueue_spawner.homes.cluster import Volumes
from gpuqueue_spawner.homes.volumes import Place, manifest
from gpuqueue_spawner.spawner.homes import HomesAway, HomesRefused, ask_for_folder
from tests.unit.objects_server import ObjectsServer, objects_server

PLACE = Place(server="nfs", path="/export", namespace="notebooks")
ME = {"uid": os.getuid() or 4321, "gid": os.getgid() or 4321}
ADA = {"folder": "ada", "claim": "home-ada", "namespace": "notebooks", **ME}
NAME = "notebooks.home-ada"


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ObjectsServer]:
    async with objects_server("persistentvolumes") as it:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        there = "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(there, str(it.kubeconfig(tmp_path)))
        yield it


@pytest.fixture
async def service(api: ObjectsServer, tmp_path: Path) -> AsyncIterator[str]:
    """Its address. Its share has a folder for each test's people."""
    (tmp_path / "share").mkdir()
    (tmp_path / "secret").write_text("s" * 40)
    volumes = Volumes(PLACE)
    app = make_app(Folders(tmp_path / "share"), allowed=lambda shown: True, smallest=1, volumes=volumes)
    server = HTTPServer(app)
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield f"http://127.0.0.1:{port}"
    server.stop()
    await volumes.close()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return str(tmp_path / "secret")


async def test_a_folder_gets_a_volume_once(service: str, secret: str, api: ObjectsServer, tmp_path: Path) -> None:
    """Of the service's own server and path, whatever else a request says."""
    for _ in range(2):
        more = {"server": "evil", "path": "/", "nfs": {"path": "/"}}
        assert await ask_for_folder(service, secret, ADA | more) == NAME

    (made,) = api.there("persistentvolumes").values()
    assert made["spec"]["nfs"] == {"server": "nfs", "path": "/export/ada"}
    assert (tmp_path / "share/ada").is_dir()
    assert [each.split()[0] for each in api.asked] == ["GET", "POST", "GET"]


async def test_many_who_ask_at_once_get_one_volume(service: str, secret: str, api: ObjectsServer) -> None:
    names = await asyncio.gather(*(ask_for_folder(service, secret, ADA) for _ in range(8)))

    assert {*names} == {*api.there("persistentvolumes")} == {NAME}


async def test_a_folder_without_a_claim_has_no_volume(service: str, secret: str, api: ObjectsServer) -> None:
    assert await ask_for_folder(service, secret, {"folder": "ada", **ME}) == ""

    assert not api.asked


async def test_the_volume_of_something_else_is_refused_and_left(service: str, secret: str, api: ObjectsServer) -> None:
    other = manifest(NAME, PLACE, folder="eve", claim="home-ada")
    api.there("persistentvolumes")[NAME] = other

    with pytest.raises(HomesRefused, match="it is nfs:/export/eve, this is nfs:/export/ada"):
        await ask_for_folder(service, secret, ADA)
    assert api.there("persistentvolumes") == {NAME: other}


async def test_a_volume_of_that_name_that_is_not_marked_is_refused(
    service: str, secret: str, api: ObjectsServer
) -> None:
    api.there("persistentvolumes")[NAME] = {"metadata": {"name": NAME}, "spec": {}}

    with pytest.raises(HomesRefused, match=f"there is a volume {NAME} that is not marked as of the claim home-ada"):
        await ask_for_folder(service, secret, ADA)


async def test_a_claim_elsewhere_is_refused_and_nothing_made(
    service: str, secret: str, api: ObjectsServer, tmp_path: Path
) -> None:
    with pytest.raises(HomesRefused, match="namespace is 'kube-system'; allowed is notebooks"):
        await ask_for_folder(service, secret, ADA | {"namespace": "kube-system"})

    assert not api.asked
    assert not (tmp_path / "share/ada").exists()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("403 persistentvolumes is forbidden", "the cluster makes no volume: persistentvolumes is forbidden"),
        ("500 etcd is away", "the cluster makes no volume: etcd is away"),
        ("silent", "the cluster does not answer: no answer in time"),
    ],
)
async def test_a_cluster_that_does_not_is_told(
    says: str, words: str, service: str, secret: str, api: ObjectsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As something that may pass: whoever asks is not refused for good."""
    monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
    api.says = says

    with pytest.raises(HomesAway, match=words):
        await ask_for_folder(service, secret, ADA)

    api.says = ""
    assert await ask_for_folder(service, secret, ADA) == NAME


async def test_a_volume_that_the_cluster_does_not_take_is_told(service: str, secret: str, api: ObjectsServer) -> None:
    api.says = "422 spec.nfs.path is wrong"

    with pytest.raises(HomesRefused, match=r"the cluster takes no such volume: spec\.nfs\.path is wrong"):
        await ask_for_folder(service, secret, ADA)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--volumes=nfs:export", "--namespace=n"], "allowed is SERVER:/PATH"),
        (["--volumes=nfs:/export"], "--namespace is ''; allowed is the name"),
        (["--namespace=n"], "set --volumes, too"),
        (["--mount-option=hard"], "set --volumes, too"),
    ],
)
def test_options_that_cannot_be_are_refused_at_the_start(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)

    assert main(["homes", f"--root={tmp_path}", f"--secret-file={secret}", *options]) == 1
    assert words in capsys.readouterr().err
