"""People's folders on the share, as the documentation has it: whose they are, where they are read, what goes wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.kubernetes import homes
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS, profile, queue_on
from tests.services.kubernetes.shares import Share
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import pod, ready

START_S = 120
PLACE, LOOSE, SYSTEM = "folders-notebooks", "folders-loose", "folders-hub"
ENFORCE = "pod-security.kubernetes.io/enforce"
HOMES = "storage/share"
PEOPLE = {
    "ada": {"uid": 4321, "gid": 4322, "gids": [5000, 5001]},
    "bob.b": {"uid": 4400, "gid": 4400},
    "bob_b": {"uid": 4401, "gid": 4401},
    "sys": {"uid": 999, "gid": 4322},
    "eve": {"uid": 4500, "gid": 4500},
    "fay": {"uid": 4600, "gid": 4600},
    "gus": {"uid": 4700, "gid": 4700},
    "hal": {"uid": 4800, "gid": 4800},
    "ivy": {"uid": 4900, "gid": 4900},
    "jon": {"uid": 4901, "gid": 4901},
    "kim": {"uid": 4902, "gid": 4902},
    "nob": {},
}
CONFIGURATION = """
PEOPLE = {people!r}
async def numbers(authenticator, handler, login):
    return {{**login, "auth_state": PEOPLE[login["name"]]}}
c.Authenticator.post_auth_hook = numbers
c.Authenticator.enable_auth_state = True
c.CryptKeeper.keys = ["0" * 64]
c.KubeSpawner.uid = None
c.KubeSpawner.working_dir = None
c.KubeSpawner.environment = {{}}
c.GPUQueueKubeSpawner.share_claim = "share"
c.GPUQueueKubeSpawner.homes_folder = {homes!r}
c.GPUQueueKubeSpawner.homes_url = {url!r}
c.GPUQueueKubeSpawner.homes_secret_file = {secret_file!r}
c.GPUQueueKubeSpawner.data_sets = {{"data": "/data"}}
c.GPUQueueKubeSpawner.scratch_size = "100Mi"
c.GPUQueueKubeSpawner.mount_timeout = 8.0
c.GPUQueueKubeSpawner.gone_timeout = 3.0
c.KubeSpawner.fs_gid = 6000
c.QueueingMixin.profile_list = {profiles!r}
"""


def profiles(share: Share) -> list[Object]:
    """One GPU, and ways of its own to the share."""
    here = f"{share.server}:{share.export}"
    ways: dict[str, Object] = {
        "inline": {"share": here, "share_claim": "", "namespace": LOOSE},
        "refused": {"share": here, "share_claim": ""},
        "nowhere": {"share": f"{share.server}:/nowhere", "share_claim": "", "homes_url": "", "namespace": LOOSE},
        "unasked": {"homes_url": ""},
    }
    plain = profile(1)
    made = [plain]
    for slug, way in ways.items():
        override = plain["kubespawner_override"] | way
        made.append({"display_name": slug, "slug": slug, "kubespawner_override": override})
    return made


@pytest.fixture(scope="module")
def share(own_cluster: Cluster) -> Share:
    """With folders for people and for data, as an admin makes them."""
    assert own_cluster.share
    own_cluster.share.folder(HOMES, mode=0o711)
    data = own_cluster.share.folder("data")
    (data / "numbers").write_text("1 2 3\n")
    return own_cluster.share


@pytest.fixture(scope="module")
def kubectl(own_cluster: Cluster, share: Share) -> Iterator[Kubectl]:
    """Where the notebooks are, with the claim of the documentation."""
    admin = own_cluster.kubectl
    for name, labels in ((PLACE, {ENFORCE: "restricted"}), (LOOSE, {}), (SYSTEM, {ENFORCE: "baseline"})):
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    it = admin.within(PLACE)
    homes.claim(it, share, volume="gpuqueue-share")
    yield it
    for name in (PLACE, LOOSE, SYSTEM):
        admin("delete", "namespace", name, "--wait=false")
    admin("delete", "pv", "gpuqueue-share", "--wait=false")


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Hub shows to the service."""
    path = tmp_path_factory.mktemp("secret") / "homes"
    path.write_text(secrets.token_hex(32))
    return path


@pytest.fixture(scope="module")
def service(own_cluster: Cluster, kubectl: Kubectl, share: Share, secret_file: Path) -> Kubectl:
    """The service of the documentation, where it may be."""
    there = kubectl.within(SYSTEM)
    homes.serve(there, share, HOMES, image=own_cluster.images["manager"], secret=secret_file.read_text())
    return there


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl, share: Share, service: Kubectl, secret_file: Path) -> Iterator[Site]:
    """One site for all tests; each has people of its own."""
    address = service.get("service", "gpuqueue-homes")["spec"]["clusterIP"]
    more = CONFIGURATION.format(
        people=PEOPLE,
        homes=HOMES,
        url=f"http://{address}:8085",
        secret_file=str(secret_file),
        profiles=profiles(share),
    )
    with queue_on(own_cluster, kubectl, hub_more=more) as it:
        yield it


Person = Callable[[str], Visitor]


def the_pod(kubectl: Kubectl, who: Visitor) -> Object:
    """The pod of somebody's notebook."""
    job = who.job()
    assert job
    (found,) = kubectl.all("pods", labels=f"{KEYS}job={job['id']}")
    return found


def runs(kubectl: Kubectl, who: Visitor, profile: str = "gpu1") -> tuple[str, str]:
    """Start somebody's notebook; its pod and its node."""
    who.start(profile)
    who.job_is("running", within=START_S)
    found = the_pod(kubectl, who)
    return found["metadata"]["name"], found["spec"]["nodeName"]


def refusal(who: Visitor, profile: str = "gpu1") -> str:
    """Ask for a notebook that cannot be; the last words on the page."""
    who.start(profile)
    said = list(who.progress(within=START_S))
    assert said[-1].get("failed"), said[-3:]
    return str(said[-1]["message"])


def facts(path: Path) -> tuple[int, int, str]:
    found = path.stat()
    return found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)


def test_a_notebook_runs_as_its_person_in_a_folder_that_is_theirs(
    kubectl: Kubectl, share: Share, person: Person
) -> None:
    """Numeric user and groups of the directory, mode 0700, in a namespace that enforces restricted."""
    ada = person("ada")
    name, _ = runs(kubectl, ada)

    assert facts(share.path / HOMES / "ada") == (4321, 4322, "0o700")
    seen = kubectl.exec(name, "sh", "-c", "id -u; id -g; pwd; echo $HOME $USER; touch file && stat -c %u:%g file")
    assert seen.split() == ["4321", "4322", "/home/jovyan", "/home/jovyan", "ada", "4321:4322"]
    groups = {int(number) for number in kubectl.exec(name, "id", "-G").split()}
    assert {4322, 5000, 5001} <= groups <= {4322, 5000, 5001, 6000}, "6000 is the site's fsGroup"
    assert facts(share.path / HOMES / "ada/file")[:2] == (4321, 4322)


def test_the_site_s_fs_group_leaves_the_share_s_files_alone(kubectl: Kubectl, share: Share, person: Person) -> None:
    """Else a large share would be walked through at each start."""
    before = facts(share.path / "data/numbers")
    runs(kubectl, person("ada"))

    assert facts(share.path / "data/numbers") == before
    assert facts(share.path / HOMES)[1] == 0


def test_data_is_read_only_and_scratch_is_not(kubectl: Kubectl, person: Person) -> None:
    name, _ = runs(kubectl, person("ada"))

    assert kubectl.exec(name, "cat", "/data/numbers") == "1 2 3\n"
    assert "Read-only file system" in kubectl.tried("exec", name, "--", "touch", "/data/mine").stderr
    assert kubectl.exec(name, "sh", "-c", "echo x > /scratch/y && cat /scratch/y") == "x\n"


def test_what_is_written_on_one_node_is_read_on_the_other(
    own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """The next notebook of a person, wherever it runs, has the files of the last one."""
    ada = person("ada")
    name, first = runs(kubectl, ada)
    kubectl.exec(name, "sh", "-c", "echo hello > from-the-first")
    ada.stop()
    ada.all_ended(within=90)
    elsewhere = own_cluster.kubectl.within(LOOSE)
    elsewhere.apply(pod("takes-all", own_cluster.images["base"], gpus=8, node=first))
    elsewhere.until("pod", "takes-all", ready, within=60, what="is ready")

    name, second = runs(kubectl, ada)

    assert second != first
    assert kubectl.exec(name, "cat", "from-the-first") == "hello\n"
    elsewhere.delete("pod", "takes-all", grace=0)


def test_people_with_names_alike_have_folders_of_their_own(kubectl: Kubectl, share: Share, person: Person) -> None:
    """A dot and another sign in the same place: nothing of theirs meets, and neither reads the other's."""
    names = {}
    for who in ("bob.b", "bob_b"):
        names[who], _ = runs(kubectl, person(who))
        kubectl.exec(names[who], "sh", "-c", "echo $USER > mine")

    assert len({*names.values()}) == 2
    assert {who: kubectl.exec(name, "cat", "mine").strip() for who, name in names.items()} == {
        who: who for who in names
    }
    assert facts(share.path / HOMES / "bob.b") == (4400, 4400, "0o700")
    assert facts(share.path / HOMES / "bob_b") == (4401, 4401, "0o700")


def test_a_number_of_the_system_is_refused_on_the_page(person: Person, share: Share) -> None:
    words = refusal(person("sys"))

    assert "uid is 999; allowed is 1000 or more" in words
    assert not (share.path / HOMES / "sys").exists()


def test_somebody_without_a_number_is_told(person: Person) -> None:
    assert "the directory has no numeric user for you" in refusal(person("nob"))


def test_a_folder_of_somebody_else_is_told_and_left(person: Person, share: Share) -> None:
    """Before anything waits."""
    folder = share.folder(f"{HOMES}/eve", uid=4999, mode=0o750)

    words = refusal(person("eve"))

    assert "it belongs to the numeric user 4999, the notebook runs as 4500" in words
    assert facts(folder) == (4999, 4999, "0o750")


def test_a_pod_may_name_the_server_itself_where_that_is_allowed(
    own_cluster: Cluster, share: Share, person: Person
) -> None:
    loose = own_cluster.kubectl.within(LOOSE)
    name, _ = runs(loose, person("fay"), "inline")

    assert "nfs" in next(each for each in loose.get("pod", name)["spec"]["volumes"] if each["name"] == "gpuqueue-share")
    loose.exec(name, "touch", "mine")
    assert facts(share.path / HOMES / "fay/mine")[:2] == (4600, 4600)


def past(who: Visitor) -> list[Object]:
    """Somebody's ended jobs, the newest first."""
    found: list[Object] = who.queue("GET", "jobs", params={"state": "ended"}).json()["jobs"]
    return sorted(found, key=lambda job: -job["id"])


def in_vain(who: Visitor, profile: str = "gpu1") -> Callable[[], str]:
    """Ask for a notebook that will not come; the result waits for its end, and tells why it was."""
    before = len(past(who))
    who.start(profile)

    def why() -> str:
        until(
            lambda: len(past(who)) > before, within=START_S, what=f"{who.name}'s job ends", story=lambda: str(who.job())
        )
        return str(past(who)[0]["message"])

    return why


def test_a_namespace_that_forbids_it_is_told(person: Person) -> None:
    assert "violates PodSecurity" in in_vain(person("jon"), "refused")()


def test_a_share_that_does_not_exist_is_told_in_the_node_s_words(person: Person) -> None:
    """And not as a time-out."""
    message = in_vain(person("kim"), "nowhere")()

    assert "could not make ready what the notebook needs: FailedMount" in message
    assert "mount failed" in message


def test_a_service_that_is_away_is_told_at_the_launch(service: Kubectl, person: Person) -> None:
    service("scale", "deployment/gpuqueue-homes", "--replicas=0")
    service("wait", "--for=delete", "pod", "--all", "--timeout=60s")
    try:
        assert "the service that makes folders does not answer" in in_vain(person("hal"))()
    finally:
        service("scale", "deployment/gpuqueue-homes", "--replicas=1")
        homes.serves(service)


def test_a_share_that_hangs_is_told_and_held_for_nobody_once_it_answers(
    own_cluster: Cluster, kubectl: Kubectl, share: Share, person: Person
) -> None:
    """By the node, which mounts it in vain, and by the service of folders; afterwards all is as before."""
    share.program.pause()
    try:
        gus = person("gus")
        mounted, asked = in_vain(person("ivy"), "unasked"), in_vain(gus)
        assert "Where it mounts the claim share, that may not answer" in mounted()
        assert "your folder could not be made ready: the share does not answer" in asked()
    finally:
        own_cluster.mend()

    until(lambda: not kubectl.all("pods"), within=180, what="what hung is gone", story=own_cluster.story)
    runs(kubectl, gus)
    assert facts(share.path / HOMES / "gus") == (4700, 4700, "0o700")
