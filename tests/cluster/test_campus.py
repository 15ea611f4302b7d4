"""A campus on the chart: accounts of a directory, homes on a share, people with a browser, TensorFlow in a cell."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from gpuqueue_spawner.cli.directory import group
from gpuqueue_spawner.cli.directory import person as entry
from gpuqueue_spawner.cli.tour.browser import BrowserPerson
from tests.services.chromium import chromium, too_wide
from tests.services.kernel import Kernel
from tests.services.kubernetes import homes
from tests.services.kubernetes.chart import WATCHED, Installed, chart_in
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.control import ADDRESS
from tests.services.kubernetes.devices import Allocation
from tests.services.kubernetes.kubectl import Object
from tests.services.site import PASSWORD, PREFIX
from tests.services.slapd import GROUPS, PEOPLE, slapd
from tests.services.visitor import Visitor

from .objects import pod, pods_of, ready

START_S = 180
CAMPUS, SERVICE = "campus", "campus-services"  #: namespaces: of the release; of what the campus has besides
FOLDER = "campus/people"  #: of the share
SHOTS = Path("build/tests/campus")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 860}
NAMES = ("ada", "bob", "carl", "dave", "erin", "fay", "gus", "hal", "dana")
UID = {name: 20_001 + number for number, name in enumerate(NAMES)}
GID = 20_000
MIG = "nvidia.com/mig-1g.10gb"
SLICE = f"""
c.GPUQueueKubeSpawner.profile_list = [
    *c.GPUQueueKubeSpawner.profile_list,
    {{
        "display_name": "A slice of a GPU",
        "slug": "slice",
        "description": "A seventh of one, for teaching.",
        "kubespawner_override": {{
            "cpu_guarantee": 0.01,
            "mem_guarantee": "16M",
            "extra_resource_limits": {{"{MIG}": "1"}},
            "extra_resource_guarantees": {{"{MIG}": "1"}},
        }},
    }},
]
"""


@pytest.fixture(scope="module")
def directory(own_cluster: Cluster) -> Iterator[str]:
    """The campus's own, beside the cluster, with a certificate; its name for pods."""
    assert own_cluster.authority
    name = f"ldap.{SERVICE}"
    people = [entry(name, PASSWORD, uidNumber=UID[name], gidNumber=GID) for name in NAMES]
    groups = [group("DGX-Users", NAMES), group("DGX-Admins", ["dana"])]
    pair = own_cluster.authority.issue("ldap", "ldap", addresses=[name])
    own_cluster.kubectl("create", "namespace", SERVICE)
    try:
        with slapd(*people, *groups, pair=pair, address=ADDRESS) as it:
            own_cluster.kubectl.within(SERVICE).apply(*outside("ldap", port=389, there=it.port))
            yield name
    finally:
        own_cluster.kubectl("delete", "namespace", SERVICE, "--wait=false")


def outside(name: str, *, port: int, there: int) -> list[Object]:
    """A service of the cluster for a program beside it."""
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "tests"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": port}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"port": there}],
        },
    ]


def logins(directory: str) -> dict[str, Any]:
    """The section of docs/howto/ldap.md, for this directory."""
    return {
        "server_address": directory,
        "tls_strategy": "before_bind",
        "tls_kwargs": {"ca_certs_file": "/etc/gpuqueue-extra/campus.pem"},
        "bind_dn_template": [f"uid={{username}},{PEOPLE}"],
        "allowed_groups": [f"cn=DGX-Users,{GROUPS}"],
        "admin_groups": [f"cn=DGX-Admins,{GROUPS}"],
        "group_search_base": GROUPS,
        "require_uid": True,
    }


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, directory: str) -> Iterator[Installed]:
    """The chart with directory and share; notebooks have TensorFlow."""
    assert own_cluster.authority
    assert own_cluster.share
    own_cluster.share.folder(FOLDER, mode=0o711)
    secret, (repository, _, tag) = secrets.token_hex(32), own_cluster.images["tensorflow"].rpartition(":")
    there = own_cluster.kubectl.within(SERVICE)
    homes.serve(there, own_cluster.share, FOLDER, image=own_cluster.images["manager"], secret=secret)
    try:
        with chart_in(
            own_cluster,
            CAMPUS,
            secret_files={"test": {"campus.pem": own_cluster.authority.ca.read_text()}, homes.NAME: {"homes": secret}},
            images={"notebook": {"name": repository, "tag": tag}},
            hub={
                "extraConfig": WATCHED + SLICE,
                "config": {"GPUQueueLDAPAuthenticator": logins(directory)},
                "adminGroups": ["DGX-Admins"],
            },
            storage={
                "type": "share",
                "claim": homes.CLAIM,
                "homesFolder": FOLDER,
                "homesUrl": f"http://{homes.NAME}.{SERVICE}:8085",
                "homesSecret": homes.NAME,
            },
        ) as it:
            homes.claim(it.notebooks, own_cluster.share, volume="campus-share")
            yield it
    finally:
        own_cluster.kubectl("delete", "pv", "campus-share", "--ignore-not-found", "--wait=false")


Person = Callable[[str], Visitor]
Reader = Callable[[str], BrowserPerson]


@pytest.fixture(scope="module")
def browser(house: Installed) -> Iterator[Browser]:
    """In the cluster's network, as the house is."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with chromium() as it:
        yield it


@pytest.fixture
def reader(house: Installed, browser: Browser) -> Iterator[Reader]:
    """Somebody of the campus with a browser, logged in."""
    made: list[BrowserPerson] = []
    faults: list[str] = []

    def make(name: str) -> BrowserPerson:
        it = BrowserPerson(browser, house.url, name, PASSWORD, SHOTS)
        made.append(it)
        it.page.on("pageerror", lambda error: faults.append(f"{it.page.url}: {error}"))
        it.log_in()
        return it

    yield make
    for each in made:
        each.page.context.close()
    assert not faults


def runs(house: Installed, who: Visitor) -> tuple[str, str]:
    """Pod and node of somebody's notebook, once it runs."""
    job = who.job_is("running", within=START_S)
    ((name, node),) = pods_of(house.notebooks, job["id"])
    assert node == job["placement"]["node"]
    return name, node


def given(cluster: Cluster, pod: str) -> Allocation:
    """What a kubelet gave to a pod."""
    (found,) = (each for each in cluster.allocations() if each.pod == pod)
    return found


def pictures(page: Any, name: str) -> list[str]:
    """Take a page wide and narrow; returns what makes it scroll sideways on a phone."""
    wrong = []
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        page.screenshot(path=SHOTS / f"{name}-{size['width']}.png", full_page=True)
        wrong += [f"{name}, {size['width']} px: {found}" for found in filter(None, [too_wide(page)])]
    return wrong


LOOK = """
import json, os, pathlib
note = pathlib.Path.home() / "note"
note.write_text("from " + os.uname().nodename)
found = note.stat()
devices = os.environ["NVIDIA_VISIBLE_DEVICES"].split(",")
print(json.dumps({"devices": sorted(devices), "uid": os.getuid(), "file": [found.st_uid, found.st_gid]}))
"""


def test_a_campus_account_waits_behind_two_and_has_its_gpus_in_a_cell(
    house: Installed, own_cluster: Cluster, person: Person, reader: Reader
) -> None:
    """Place, reason and estimate meanwhile; then the planned node, the kubelet's devices, the directory's number."""
    bob, carl, dave, erin = map(person, ("bob", "carl", "dave", "erin"))
    for each in (bob, carl):
        each.start("gpu", gpus="gpu8")
    _, node = runs(house, bob)
    runs(house, carl)
    for each, gpus in ((dave, "gpu8"), (erin, "gpu4")):
        each.start("gpu", gpus=gpus)
        each.job_is("queued")
    ada, browsing = person("ada"), reader("ada")

    browsing.ask(4, name="Night run")

    wait = browsing.wait()
    assert (wait.place, wait.of) == (3, 3)
    assert wait.why == "Behind 2 others."
    assert re.search(r"\d\d:\d\d", wait.start)
    assert pictures(browsing.page, "waiting") == []

    carl.stop()
    dave.job_is("running", within=START_S)
    bob.stop()

    browsing.arrives()
    name, there = runs(house, ada)
    devices = given(own_cluster, name)
    assert there == devices.node == node
    assert len(devices.ids) == 4
    seen = json.loads(browsing.run(LOOK))
    assert seen == {"devices": [*devices.ids], "uid": UID["ada"], "file": [UID["ada"], GID]}
    assert own_cluster.share
    kept = own_cluster.share.path / FOLDER / "ada/note"
    assert (kept.stat().st_uid, kept.read_text()) == (UID["ada"], f"from {name}")


def test_a_cell_reads_what_a_cell_wrote_on_another_node(house: Installed, own_cluster: Cluster, person: Person) -> None:
    """Stopped, and started again while its first node is closed."""
    fay = person("fay")
    fay.start("gpu", gpus="gpu1")
    _, first = runs(house, fay)
    Kernel(fay).run("open('result', 'w').write('epoch 7')")
    fay.stop()
    fay.no_job(within=60)
    own_cluster.kubectl("cordon", first)
    try:
        fay.start("gpu", gpus="gpu1")
        _, second = runs(house, fay)
    finally:
        own_cluster.kubectl("uncordon", first)

    assert second != first
    assert Kernel(fay).run("print(open('result').read())") == "epoch 7\n"


LEARN = """
import json, tensorflow as tf
a = tf.constant([[1.0, 2.0], [3.0, 4.0]])
x = tf.Variable([[1.0], [1.0]])
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(tf.square(tf.matmul(a, x)))
print(json.dumps({"version": tf.__version__, "loss": float(loss), "slope": tape.gradient(loss, x).numpy().tolist()}))
"""


def test_tensorflow_runs_in_a_cell(house: Installed, person: Person) -> None:
    """The real one, of the image that is made from images/notebook: |Ax|² and its slope 2AᵀAx."""
    hal = person("hal")
    hal.start("gpu", gpus="gpu1")
    runs(house, hal)

    learned = json.loads(Kernel(hal).run(LEARN, within=120))

    assert learned["version"].startswith("2.")
    assert learned["loss"] == 3.0**2 + 7.0**2
    assert learned["slope"] == [[48.0], [68.0]]


@pytest.fixture
def taken(house: Installed, own_cluster: Cluster) -> Iterator[None]:
    """Somebody whom no queue knows has all GPUs."""
    there = own_cluster.kubectl.within(SERVICE)
    for node in own_cluster.nodes:
        there.apply(pod(f"takes-{node}", own_cluster.images["base"], gpus=8, node=node))
    for node in own_cluster.nodes:
        there.until("pod", f"takes-{node}", ready, within=60, what="is ready")
    yield
    for node in own_cluster.nodes:
        there.delete("pod", f"takes-{node}", grace=0)


@pytest.fixture
def sliced(house: Installed, own_cluster: Cluster) -> Iterator[None]:
    """A node says that it has seven slices of a GPU besides."""
    path = f"/status/capacity/{MIG.replace('/', '~1')}"

    def change(*operation: tuple[str, str]) -> None:
        change = json.dumps([dict(operation, path=path)])
        own_cluster.kubectl("patch", "node", "dgx2", "--subresource=status", "--type=json", f"--patch={change}")

    change(("op", "add"), ("value", "7"))
    try:
        own_cluster.kubectl.until(
            "node", "dgx2", lambda found: found["status"]["allocatable"].get(MIG) == "7", within=60, what="has slices"
        )
        yield
    finally:
        change(("op", "remove"))


@pytest.mark.usefixtures("taken", "sliced")
def test_the_pages_of_a_cluster_fit_on_a_phone(house: Installed, person: Person, reader: Reader) -> None:
    """And tell whose GPUs are in the way, and that slices are no help to who wants whole ones."""
    holding, waiting = person("hal"), person("gus")
    holding.start("slice")
    runs(house, holding)
    gus, dana = reader("gus"), reader("dana")
    gus.page.goto("/hub/spawn")
    assert "0 of 16 GPUs and 6 of 7 GPUs (mig-1g.10gb) free now" in gus.page.inner_text("#main")
    wrong = pictures(gus.page, "form")

    gus.ask(4, name="Protein embeddings")

    gus.page.wait_for_selector("#gq-hero[data-state=queued]")
    assert "used from outside the queue" in gus.page.inner_text(".gq-hero-why")
    waiting.job_is("queued")
    wrong += pictures(gus.page, "waiting-for-others")
    dana.page.goto(PREFIX + "admin")
    dana.page.wait_for_selector("#waiting-rows tr")
    assert "dgx2, 1 GPU (mig-1g.10gb)" in dana.page.inner_text("#holder-rows")
    wrong += pictures(dana.page, "admin")
    assert wrong == []
