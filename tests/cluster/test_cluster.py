"""The cluster itself is what the other tests take it for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl

from .objects import pod, ready

Namespace = Callable[[], Kubectl]


def test_two_nodes_are_ready_with_eight_gpus_each(own_cluster: Cluster):
    nodes = own_cluster.kubectl.all("nodes")

    assert {node["metadata"]["name"]: node["status"]["allocatable"]["nvidia.com/gpu"] for node in nodes} == {
        "dgx1": "8",
        "dgx2": "8",
    }
    assert all(own_cluster.node_ready(name) for name in own_cluster.nodes)


@pytest.mark.parametrize("node", ["dgx1", "dgx2"])
def test_a_pod_on_a_chosen_node_has_the_gpus_that_the_kubelet_says(
    node: str, own_cluster: Cluster, namespace: Namespace
):
    kubectl = namespace()

    kubectl.apply(pod("two", own_cluster.images["base"], gpus=2, node=node))
    kubectl.until("pod", "two", ready, within=30, what="is ready")

    seen = kubectl.exec("two", "printenv", "NVIDIA_VISIBLE_DEVICES").strip().split(",")
    given = [each for each in own_cluster.allocations() if each.namespace == kubectl.namespace]
    assert [(each.node, each.pod, each.ids) for each in given] == [(node, "two", tuple(sorted(seen)))]
    assert len(seen) == 2


def test_a_file_written_on_one_node_is_read_on_the_other(own_cluster: Cluster, namespace: Namespace):
    kubectl = namespace()
    for name, node in (("writer", "dgx1"), ("reader", "dgx2")):
        kubectl.apply(pod(name, own_cluster.images["base"], node=node, share=own_cluster.share))
    for name in ("writer", "reader"):
        kubectl.until("pod", name, ready, within=30, what="is ready")

    kubectl.exec("writer", "sh", "-c", "echo hello > /share/from-dgx1")

    assert kubectl.exec("reader", "cat", "/share/from-dgx1") == "hello\n"


HOME = """
import os, pathlib, sqlite3, stat
home = pathlib.Path("/share/home-of-somebody")
os.chdir(home)
data = os.urandom(3_000_000)
pathlib.Path("large").write_bytes(data)
assert pathlib.Path("large").read_bytes() == data
for text in ("a", "longer", "b"):
    pathlib.Path("again").write_text(text)
    assert pathlib.Path("again").read_text() == text
with open("again", "a") as file:
    file.write("c")
os.truncate("large", 10)
assert pathlib.Path("large").read_bytes() == data[:10]
os.makedirs("one/two")
os.replace("again", "one/two/renamed")
os.symlink("renamed", "one/two/link")
assert pathlib.Path("one/two/link").read_text() == "bc"
os.chmod("large", 0o600)
assert stat.S_IMODE(os.stat("large").st_mode) == 0o600
assert {os.stat(path).st_uid for path in ("large", "one", "one/two/renamed")} == {os.getuid()}
with sqlite3.connect("history.sqlite") as database:
    database.execute("create table lines (line text)")
    database.execute("insert into lines values ('x')")
assert sqlite3.connect("history.sqlite").execute("select * from lines").fetchall() == [("x",)]
"""


def test_a_home_on_the_share_is_like_any_other(own_cluster: Cluster, namespace: Namespace):
    kubectl = namespace()
    assert own_cluster.share
    own_cluster.share.folder("home-of-somebody", uid=4321, mode=0o700)
    share = own_cluster.share
    for name, uid in (("owner", 4321), ("other", 4322)):
        wanted = pod(name, own_cluster.images["notebook"], share=share)
        wanted["spec"]["securityContext"] = {"runAsUser": uid, "runAsGroup": uid}
        kubectl.apply(wanted)
        kubectl.until("pod", name, ready, within=30, what="is ready")

    kubectl.exec("owner", "python3", "-c", HOME)

    assert "denied" in kubectl.tried("exec", "other", "--", "ls", "/share/home-of-somebody").stderr


def test_a_share_that_hung_or_died_goes_on(own_cluster: Cluster, namespace: Namespace):
    kubectl = namespace()
    kubectl.apply(pod("user", own_cluster.images["base"], share=own_cluster.share))
    kubectl.until("pod", "user", ready, within=30, what="is ready")
    assert own_cluster.share

    own_cluster.share.program.pause()
    # Nothing ends a process that waits for its file system, so it is left behind.
    hangs = kubectl.exec("user", "sh", "-c", "ls /share > /dev/null 2>&1 & sleep 1; kill -0 $! && echo hangs")
    own_cluster.share.program.kill()
    own_cluster.mend()

    assert hangs == "hangs\n"
    kubectl.exec("user", "touch", "/share/afterwards")


def test_the_notebook_image_starts(any_cluster: Cluster, namespace: Namespace):
    kubectl = namespace()
    command = ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]

    kubectl.apply(pod("notebook", any_cluster.images["notebook"], *command, ready_at=(8888, "/api")))
    kubectl.until("pod", "notebook", ready, within=60, what="is ready")

    assert "jupyterlab" in kubectl.exec("notebook", "jupyter", "--version")


@pytest.mark.parametrize("command", ["jupyterhub --version", "configurable-http-proxy --version", "gpuqueue --version"])
def test_every_image_has_its_command(command: str, any_cluster: Cluster, namespace: Namespace):
    image = {"jupyterhub": "hub", "configurable-http-proxy": "proxy", "gpuqueue": "manager"}[command.split()[0]]
    kubectl = namespace()
    wanted = pod("command", any_cluster.images[image], *command.split())
    wanted["spec"]["restartPolicy"] = "Never"

    kubectl.apply(wanted)
    ended = kubectl.until(
        "pod", "command", lambda it: it["status"]["phase"] in ("Succeeded", "Failed"), within=30, what="ends"
    )

    assert ended["status"]["phase"] == "Succeeded", kubectl("logs", "command")
