"""People and servers whose names are alike, on a real API server: no two of them meet in a pod, a claim or a label."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.unit.spawner.kubespawners import no_cluster, spawner

LONG = "a" * 70
#: The last but two is what `a.b` is called in a cluster.
PEOPLE = ("a", "a.b", "a-b", "A-b", "a--b", "a_b", "a b", "ä-b", "-a", "a-b---2e7336dc", LONG, f"{LONG}a")
SERVERS = ("", "b", "b-c", "b.c", "B", LONG)
WHOSE = "hub.jupyter.org/{}name"
HOME = {"name": "home", "persistentVolumeClaim": {"claimName": "claim-{user_server}"}}


async def objects_of(user: str, server: str) -> list[Object]:
    """Claim and pod of a server, as they are sent; the scheduler leaves the pod alone."""
    it = spawner(user=user, image="none", storage_capacity="1Gi", volumes=[HOME])
    it.orm_spawner = SimpleNamespace(name=server, server=None)
    it.pod_name, it.pvc_name = map(it._expand_user_properties, (it.pod_name_template, it.pvc_name_template))
    pod = it._document(await it.get_pod_manifest())
    pod["spec"] |= {"schedulerName": "nobody", "restartPolicy": "Never"}
    return [it._document(it.get_pvc_manifest()), pod]


async def test_every_server_of_names_alike_has_a_pod_a_claim_and_labels_of_its_own(
    namespace: Callable[[], Kubectl], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dots, capitals, dashes, and names that are too long for one: each is taken, and none is there already."""
    no_cluster(tmp_path, monkeypatch)
    kubectl = namespace()
    whose = [(user, server) for user in PEOPLE for server in SERVERS]

    made = [await objects_of(*each) for each in whose]
    kubectl("create", "-f", "-", text="\n---\n".join(json.dumps(each) for pair in made for each in pair))

    claims, pods = kubectl.all("persistentvolumeclaims"), kubectl.all("pods")
    labels = {tuple(each["metadata"]["labels"][WHOSE.format(of)] for of in ("user", "server")) for each in pods}
    homes = {each["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] for each in pods}
    assert len(labels) == len(homes) == len(pods) == len(whose)
    assert homes == {each["metadata"]["name"] for each in claims}
