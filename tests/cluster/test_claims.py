"""The chart with a volume and a claim for each person of an NFS share: whose they are, and who may make them."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gpuqueue_spawner.homes.volumes import CLAIM, Place, manifest, volume_name
from gpuqueue_spawner.spawner.claims import claim_name
from tests.services.kubernetes.chart import HUB, RELEASE, Installed, chart_in
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.shares import Share
from tests.services.visitor import Visitor

from .test_homes import NUMBERS, Person, facts, runs, there, uid_of

START_S = 180
FOLDERS = "claims-of-the-chart/people"


@pytest.fixture(scope="module")
def share(own_cluster: Cluster) -> Share:
    """With a folder for people, as an admin makes it."""
    assert own_cluster.share
    own_cluster.share.folder(FOLDERS, mode=0o711)
    return own_cluster.share


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, share: Share) -> Iterator[Installed]:
    """One installation for all tests; Pod Security "restricted" is enforced where its notebooks are."""
    storage = {
        "type": "share",
        "homesFolder": FOLDERS,
        "nfs": {"server": share.server, "path": share.export, "mountOptions": []},  # this kernel's client takes none
    }
    little = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {}}
    homes = {"enabled": True, "volumes": True, "resources": little}
    with chart_in(own_cluster, "claims", storage=storage, homes=homes, hub={"extraConfig": HUB + NUMBERS}) as it:
        there(it)("rollout", "status", f"deployment/{RELEASE}-homes", "--timeout=90s")
        yield it
        it.uninstall()
        own_cluster.kubectl("delete", "namespace", there(it).namespace, "--wait=false")
    own_cluster.kubectl("delete", "pv", f"--selector={CLAIM}", "--wait=false")


def place(house: Installed, share: Share) -> Place:
    return Place(server=share.server, path=f"{share.export}/{FOLDERS}", namespace=house.notebooks.namespace)


def volume_of(house: Installed, who: Visitor) -> Object:
    """The volume of somebody's claim."""
    claim = house.notebooks.get("pvc", claim_name(who.name))
    assert claim["status"]["phase"] == "Bound"
    return house.kubectl.get("pv", claim["spec"]["volumeName"])


def test_two_people_have_a_volume_and_a_claim_each_and_nothing_of_the_other_s(
    house: Installed, share: Share, person: Person
) -> None:
    """What one writes is on the server in their folder, as theirs; the other's pod has no way there."""
    ada, bob = person(), person()
    uid, other = uid_of(ada), uid_of(bob)
    pods = {who: runs(house, who)[0] for who in (ada, bob)}

    house.notebooks.exec(pods[ada], "sh", "-c", "echo hello > mine")
    seen = {who: house.notebooks.exec(name, "sh", "-c", "id -u; pwd; ls -A") for who, name in pods.items()}

    folder = share.path / FOLDERS / ada.name
    assert facts(folder) == (uid, uid, "0o700")
    assert facts(folder / "mine")[:2] == (uid, uid)
    assert (folder / "mine").read_text() == "hello\n"
    assert facts(share.path / FOLDERS / bob.name) == (other, other, "0o700")
    assert seen[ada].split()[:2] == [str(uid), "/home/jovyan"]
    assert "mine" in seen[ada].split()
    assert seen[bob].split()[:2] == [str(other), "/home/jovyan"]
    assert "mine" not in seen[bob].split()
    for who in (ada, bob):
        spec = volume_of(house, who)["spec"]
        assert spec["nfs"] == {"server": share.server, "path": f"{share.export}/{FOLDERS}/{who.name}"}
        assert spec["claimRef"]["name"] == claim_name(who.name)
        mounted = [
            each["persistentVolumeClaim"]["claimName"]
            for each in house.notebooks.get("pod", pods[who])["spec"]["volumes"]
            if "persistentVolumeClaim" in each
        ]
        assert mounted == [claim_name(who.name)]
        (home,) = (
            each
            for each in house.notebooks.get("pod", pods[who])["spec"]["containers"][0]["volumeMounts"]
            if each["mountPath"] == "/home/jovyan"
        )
        assert "subPath" not in home
    assert not house.notebooks.find("pvc", f"{RELEASE}-share"), "which would be a claim of the whole share"


def test_a_claim_that_was_deleted_is_made_anew_and_the_files_are_there(
    house: Installed, share: Share, person: Person
) -> None:
    """Its volume is bound to the old one for ever; the new one has another volume of the same folder."""
    ada = person()
    name, _ = runs(house, ada)
    house.notebooks.exec(name, "sh", "-c", "echo hello > from-before")
    first = volume_of(house, ada)["metadata"]["name"]
    ada.stop()
    ada.all_ended(within=120)
    house.notebooks.delete("pvc", claim_name(ada.name))
    house.kubectl.until(
        "pv", first, lambda found: found["status"]["phase"] == "Released", within=30, what="is released"
    )

    name, _ = runs(house, ada)

    assert volume_of(house, ada)["metadata"]["name"] == f"{first}.2"
    assert house.notebooks.exec(name, "cat", "from-before") == "hello\n"


def test_a_claim_whose_volume_was_deleted_is_made_anew_with_another(house: Installed, person: Person) -> None:
    """Also by somebody who forces it: the claim is lost, and no volume can ever be bound to it."""
    ada = person()
    runs(house, ada)
    volume = volume_of(house, ada)
    ada.stop()
    ada.all_ended(within=120)
    house.kubectl("delete", "pv", volume["metadata"]["name"], "--wait=false")
    house.kubectl("patch", "pv", volume["metadata"]["name"], "--patch", json.dumps({"metadata": {"finalizers": None}}))
    house.notebooks.until(
        "pvc", claim_name(ada.name), lambda found: found["status"]["phase"] == "Lost", within=30, what="is lost"
    )

    runs(house, ada)

    again = volume_of(house, ada)["metadata"]
    assert (again["name"], again["uid"] == volume["metadata"]["uid"]) == (volume["metadata"]["name"], False)


def test_a_volume_of_something_else_is_told_and_left(house: Installed, share: Share, person: Person) -> None:
    """Before anything waits, in words that name it."""
    eve = person()
    claim = claim_name(eve.name)
    other = manifest(volume_name(house.notebooks.namespace, claim), place(house, share), folder="somebody", claim=claim)
    house.kubectl.apply(other)

    eve.start("gpu", gpus="gpu1")
    *_, last = eve.progress(within=START_S)

    assert last.get("failed"), last
    assert f"the volume {other['metadata']['name']} is of something else" in last["message"]
    assert house.kubectl.get("pv", other["metadata"]["name"])["spec"]["nfs"]["path"].endswith("/somebody")
    assert not house.notebooks.find("pvc", claim)


def account_of(house: Installed, part: str) -> str:
    where = there(house).namespace if part == "homes" else house.kubectl.namespace
    return f"system:serviceaccount:{where}:{RELEASE}-{part}"


def may(house: Installed, part: str, verb: str, what: str) -> bool:
    """In every namespace, as the API server says."""
    question = ["auth", "can-i", verb, what, f"--as={account_of(house, part)}", "--all-namespaces"]
    return there(house).tried(*question).stdout.strip() == "yes"


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
KINDS = ("persistentvolumes", "persistentvolumeclaims", "pods", "secrets", "nodes", "namespaces", "storageclasses")


def test_who_makes_folders_may_list_and_create_volumes_and_nothing_else_and_the_hub_may_neither(
    house: Installed,
) -> None:
    asked = list(itertools.product(VERBS, KINDS))

    assert [each for each in asked if may(house, "homes", *each)] == [
        ("list", "persistentvolumes"),
        ("create", "persistentvolumes"),
    ]
    assert not [each for each in asked if may(house, "hub", *each)]


def changed(volume: Object, **spec: Any) -> Object:
    made = copy.deepcopy(volume)
    made["spec"] = {name: each for name, each in (made["spec"] | spec).items() if each is not None}
    return made


@pytest.mark.parametrize(
    "other",
    [
        {"nfs": None, "hostPath": {"path": "/etc"}},
        {"nfs": {"server": "{server}", "path": "/"}},
        {"nfs": {"server": "{server}", "path": "{people}"}},
        {"nfs": {"server": "{server}", "path": "{people}/"}},
        {"nfs": {"server": "{server}", "path": "{people}/.."}},
        {"nfs": {"server": "{server}", "path": "{people}/ada/../../data"}},
        {"nfs": {"server": "{server}", "path": "{people}-of-others/ada"}},
        {"nfs": {"server": "elsewhere", "path": "{people}/ada"}},
        {"claimRef": {"namespace": "kube-system", "name": "home-ada"}},
        {"claimRef": None},
    ],
    ids=lambda other: json.dumps(other),
)
def test_its_account_can_make_volumes_of_people_s_folders_for_notebooks_only(
    other: Object, house: Installed, share: Share
) -> None:
    """Whoever takes it over cannot mount a node's files: the API server takes nothing else from it."""
    right = manifest("claims.tried", place(house, share), folder="ada", claim="home-ada")
    people = f"{share.export}/{FOLDERS}"
    wrong = json.loads(json.dumps(other).replace("{server}", share.server).replace("{people}", people))

    def answer(volume: Object) -> str:
        create = ("create", "--dry-run=server", "--filename=-", f"--as={account_of(house, 'homes')}")
        done = Kubectl(house.kubectl.kubeconfig).tried(*create, text=json.dumps(volume))
        return done.stdout + done.stderr

    assert "created" in answer(right)
    assert "a volume of this account is " in answer(changed(right, **wrong))


def test_everybody_else_s_volumes_are_not_looked_at(house: Installed, share: Share) -> None:
    """Such as the cluster's own administrator's."""
    volume = manifest("claims.tried", place(house, share), folder="ada", claim="home-ada")
    wrong = changed(volume, nfs=None, hostPath={"path": "/etc"})

    done = Kubectl(house.kubectl.kubeconfig).tried("create", "--dry-run=server", "--filename=-", text=json.dumps(wrong))

    assert done.returncode == 0, done.stderr
