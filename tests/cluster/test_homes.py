"""The chart with an NFS share: it brings who makes people's folders, and the claim that their notebooks mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.kubernetes.chart import HUB, RELEASE, Installed, chart_in
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS
from tests.services.kubernetes.shares import Share
from tests.services.visitor import Visitor

from .objects import pod, ready

START_S = 180
Person = Callable[..., Visitor]
FOLDERS = "homes-of-the-chart/people"
FIRST_UID = 5100
#: Numbers as a directory would give them: each name ends with its own.
NUMBERS = f"""
async def numbers(authenticator, handler, login):
    number = {FIRST_UID} + int(login["name"].removeprefix("person"))
    return {{**login, "auth_state": {{"uid": number, "gid": number}}}}
c.Authenticator.post_auth_hook = numbers
c.Authenticator.enable_auth_state = True
"""


@pytest.fixture(scope="module")
def share(own_cluster: Cluster) -> Share:
    """With a folder for people, as an admin makes it."""
    assert own_cluster.share
    own_cluster.share.folder(FOLDERS, mode=0o711)
    return own_cluster.share


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, share: Share) -> Iterator[Installed]:
    """One installation for all tests, in a namespace that admits no root."""
    storage = {
        "type": "share",
        "homesFolder": FOLDERS,
        "nfs": {"server": share.server, "path": share.export, "mountOptions": []},  # this kernel's client takes none
    }
    little = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {}}
    homes = {"enabled": True, "resources": little}
    with chart_in(own_cluster, "homes", storage=storage, homes=homes, hub={"extraConfig": HUB + NUMBERS}) as it:
        there(it)("rollout", "status", f"deployment/{RELEASE}-homes", "--timeout=90s")
        yield it
        own_cluster.kubectl("delete", "namespace", there(it).namespace, "--wait=false")
        own_cluster.kubectl("delete", "pv", f"{it.notebooks.namespace}-{RELEASE}-share", "--wait=false")


def there(house: Installed) -> Kubectl:
    """The namespace of who makes folders."""
    return house.kubectl.within(f"{RELEASE}-homes")


def uid_of(who: Visitor) -> int:
    """The number that NUMBERS gives somebody."""
    return FIRST_UID + int(who.name.removeprefix("person"))


def runs(house: Installed, who: Visitor) -> tuple[str, str]:
    """Start somebody's notebook; its pod and its node."""
    who.start("gpu", gpus="gpu1")
    job = who.job_is("running", within=START_S)
    (found,) = house.notebooks.all("pods", labels=f"{KEYS}job={job['id']}")
    return found["metadata"]["name"], found["spec"]["nodeName"]


def facts(path: Path) -> tuple[int, int, str]:
    found = path.stat()
    return found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)


def test_a_notebook_runs_as_its_person_in_their_folder_which_the_other_node_mounts_too(
    own_cluster: Cluster, house: Installed, share: Share, person: Person
) -> None:
    """Made before, with owner and mode 0700; a file that is written on one node is read on the other."""
    ada = person()
    uid = uid_of(ada)
    name, first = runs(house, ada)
    folder = share.path / FOLDERS / ada.name

    assert facts(folder) == (uid, uid, "0o700")
    seen = house.notebooks.exec(name, "sh", "-c", "id -u; pwd; echo hello > from-the-first; stat -c %u from-the-first")
    assert seen.split() == [str(uid), "/home/jovyan", str(uid)]

    ada.stop()
    ada.all_ended(within=120)
    elsewhere = house.kubectl.within("default")
    elsewhere.apply(pod("takes-the-first", own_cluster.images["base"], gpus=8, node=first))
    try:
        elsewhere.until("pod", "takes-the-first", ready, within=60, what="is ready")
        name, second = runs(house, ada)
    finally:
        elsewhere.delete("pod", "takes-the-first", grace=0)

    assert second != first
    assert house.notebooks.exec(name, "cat", "from-the-first") == "hello\n"


def test_a_folder_of_somebody_else_is_told_and_left(house: Installed, share: Share, person: Person) -> None:
    """By the service, through the Hub, in words."""
    bob = person()
    uid = uid_of(bob)
    folder = share.folder(f"{FOLDERS}/{bob.name}", uid=uid + 1000, mode=0o750)

    bob.start("gpu", gpus="gpu1")
    *_, last = bob.progress(within=START_S)

    assert last.get("failed"), last
    assert f"it belongs to the numeric user {uid + 1000}, the notebook runs as {uid}" in last["message"]
    assert facts(folder) == (uid + 1000, uid + 1000, "0o750")


MAY_NOT = ["list nodes", "list pods", "get secrets", "create pods", "list namespaces", "get persistentvolumes"]


@pytest.mark.parametrize("what", MAY_NOT)
def test_who_makes_folders_may_nothing_in_the_cluster(house: Installed, what: str) -> None:
    who = f"system:serviceaccount:{there(house).namespace}:{RELEASE}-homes"

    for where in ([], ["--all-namespaces"]):
        answer = there(house).tried("auth", "can-i", *what.split(), f"--as={who}", *where)
        assert answer.stdout.strip() == "no", answer


def test_its_container_has_no_token_and_three_rights(house: Installed) -> None:
    """Read in the container itself: CHOWN, DAC_OVERRIDE and FOWNER, and no way to more."""
    (found,) = there(house).all("pods")
    inside = there(house).exec(
        found["metadata"]["name"], "sh", "-c", "ls -d /var/run/secrets/kubernetes.io; cat /proc/1/status; true"
    )
    status = dict(line.split(":", 1) for line in inside.splitlines() if ":" in line)

    assert "serviceaccount" not in inside
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 1 << 0 | 1 << 1 | 1 << 3
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_an_upgrade_keeps_its_secret_and_folders(house: Installed, share: Share, person: Person) -> None:
    """What the Hub shows is what the service knows, before and after."""

    def secrets() -> list[Object]:
        return [
            each.get("secret", name)["data"]
            for each, name in ((house.kubectl, RELEASE), (there(house), f"{RELEASE}-homes"))
        ]

    carol = person()
    uid = uid_of(carol)
    before = secrets()

    house.install(homes={"minimumUid": 2000})
    house.wait()
    there(house)("rollout", "status", f"deployment/{RELEASE}-homes", "--timeout=90s")

    assert secrets() == before
    assert before[0]["homes"] == before[1]["homes"]
    runs(house, carol)
    assert facts(share.path / FOLDERS / carol.name) == (uid, uid, "0o700")
