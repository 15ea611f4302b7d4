"""What KubeSpawner makes beside a pod, what it leaves and what it takes away, by our class on a real cluster.

The Hub's part is played by the test: it asks for the wish, gives a permit, and ends the launch. What a setting makes of
a manifest: tests/unit/spawner/test_kubespawner_s_settings.py.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from jupyterhub.app import JupyterHub
from jupyterhub.objects import Hub, Server
from traitlets.config import Config

from gpuqueue_spawner.spawner.jobs import JobView, Permit
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import KEYS
from tests.services.program import until

SERVE = "import http.server as it; it.test(it.SimpleHTTPRequestHandler, port=8888)"
ANSWERS = ["python3", "-c", SERVE]
#: With the certificate that it was given.
ANSWERS_SAFELY = """
import http.server, os, ssl
it = http.server.HTTPServer(("", 8888), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["JUPYTERHUB_SSL_CERTFILE"], os.environ["JUPYTERHUB_SSL_KEYFILE"])
it.socket = context.wrap_socket(it.socket, server_side=True)
it.serve_forever()
"""
WAIT_S = 60

_names = itertools.count(1)
_launches = itertools.count(1)
Make = Callable[..., GPUQueueKubeSpawner]


async def _no_state() -> None:
    return None


@pytest_asyncio.fixture
async def make(own_cluster: Cluster, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Make spawners as the Hub does; whatever they launched ends with the test."""
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubectl.kubeconfig))
    made: list[GPUQueueKubeSpawner] = []

    def one(*, user: str = "", state: dict[str, Any] | None = None, **settings: Any) -> GPUQueueKubeSpawner:
        usual = {
            "namespace": kubectl.namespace,
            "image": own_cluster.images["notebook"],
            "image_pull_policy": "Never",
            "uid": 1000,
            "cmd": ANSWERS,
            "delete_grace_period": 1,
        }
        internal = {name: settings.pop(name) for name in ("internal_ssl", "hub_ssl") if name in settings}
        config = Config({"KubeSpawner": usual | settings})
        name = user or f"person{next(_names)}"
        person = SimpleNamespace(name=name, id=1, url=f"/user/{name}/", escaped_name=name, settings={}, groups=[])
        person.get_auth_state = _no_state
        it = GPUQueueKubeSpawner(user=person, hub=Hub(ip="10.0.0.1", port=8081), config=config, **internal)
        it.server, it.user_options, it.api_token = Server(), {}, secrets.token_hex(16)
        it.db = SimpleNamespace(commit=lambda: None)
        it.load_state(state or {})
        made.append(it)
        return it

    yield one
    for it in made:
        await it.end_launch(now=True)
    await GPUQueueKubeSpawner._stop_all_reflectors()


async def launch(it: GPUQueueKubeSpawner, node: str = "dgx1") -> str:
    """Ask, wait for nothing, and launch."""
    await it.wish()
    number, key = next(_launches), f"{secrets.token_hex(16)}"
    view = {"id": number, "key": key, "state": "starting", "version": 4, "placement": {"node": node}}
    environment = {"GPUQUEUE_JOB": f"0123456789abcdef/{key}/1"}
    it._permit = Permit(job=JobView.of_document(view), launch=1, ticket="t", environment=environment)
    url: str = await it.launch(it._permit)
    return url


async def waits_until(true: Callable[[], object], what: str) -> None:
    """Beside what follows the cluster."""
    await asyncio.to_thread(until, true, within=WAIT_S, what=what)


async def answers(address: str, *, context: ssl.SSLContext | None = None, named: str | None = None) -> bool:
    """Whether a notebook speaks HTTP there."""
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(address, 8888, ssl=context, server_hostname=named), 5
        )
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, TimeoutError):
        return False
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return b" 200 " in line


async def soon(asking: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until somebody answers."""
    end = time.monotonic() + WAIT_S
    while not await asking():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.2)


async def test_service_claim_and_hooks_go_with_a_pod_as_in_kubespawner(make: Make, kubectl: Kubectl) -> None:
    """The service leads to the notebook and goes with its pod; the claim stays until its owner is deleted."""
    seen: list[Any] = []

    async def after(spawner: Any, pod: dict[str, Any]) -> None:
        seen.append((spawner.pod_name, pod["metadata"]["name"], bool(pod["metadata"]["uid"])))

    async def modify(spawner: Any, pod: Any) -> Any:
        pod.metadata.labels = {**pod.metadata.labels, "by-hook": spawner.user.name}
        return pod

    it = make(
        services_enabled=True,
        after_pod_created_hook=after,
        modify_pod_hook=modify,
        storage_pvc_ensure=True,
        storage_capacity="1Mi",
        component_label="notebook",
        events_enabled=False,
        delete_pvc=False,
    )

    url = await launch(it)

    pod = kubectl.get("pod", it.pod_name)
    assert url == f"http://{it.dns_name}:8888"
    assert seen == [(it.pod_name, it.pod_name, True)]
    labels = pod["metadata"]["labels"]
    assert (labels["by-hook"], labels["component"]) == (it.user.name, "notebook")
    assert labels["app.kubernetes.io/name"] == "jupyterhub"
    assert pod["metadata"]["annotations"][f"{KEYS}user"] == it.user.name
    address = kubectl.get("service", it.pod_name)["spec"]["clusterIP"]
    await soon(lambda: answers(address), "the service leads to the notebook")
    assert await it.poll_launch() is None
    assert it.server.host == url, "an address that is not the pod's is put right"
    assert it.get_state()["pvc_name"] == it.pvc_name
    assert kubectl.find("persistentvolumeclaim", it.pvc_name)

    await it.end_launch()

    assert kubectl.find("pod", it.pod_name) is None
    assert isinstance(await it.poll_launch(), int)
    await waits_until(lambda: not kubectl.find("service", it.pod_name), "the service is gone")
    await it.delete_forever()
    assert kubectl.find("persistentvolumeclaim", it.pvc_name)
    it.delete_pvc = True
    await it.delete_forever()
    await waits_until(lambda: not kubectl.find("persistentvolumeclaim", it.pvc_name), "the claim is gone")


async def test_with_internal_ssl_a_notebook_shows_a_certificate_for_the_name_it_is_called_by(
    make: Make, kubectl: Kubectl, tmp_path: Path
) -> None:
    """Two servers of a person that wait at once too, whose certificates the Hub writes into the same files."""
    place = str(tmp_path / "ssl")
    app = JupyterHub(config=Config({"JupyterHub": {"internal_ssl": True, "internal_certs_location": place}}))
    app.init_internal_ssl()
    one, other = (
        make(user="twice", cmd=["python3", "-c", ANSWERS_SAFELY], pod_name_template=f"ssl{number}-{{username}}",
             secret_name_template=f"ssl{number}-{{username}}", internal_ssl=True)
        for number in (1, 2)
    )  # fmt: skip
    for it in (one, other):
        it.internal_trust_bundles, it.internal_certs_location = app.internal_trust_bundles, app.internal_certs_location
        it.cert_paths = await it.move_certs(await it.create_certs())  # as the Hub does before a start
    trusted = ssl.create_default_context(cafile=app.internal_trust_bundles["hub-ca"])

    for it in (one, other):
        url = await launch(it)

        assert url == f"https://{it.dns_name}:8888"
        address = kubectl.get("service", it.pod_name)["spec"]["clusterIP"]
        await soon(
            lambda address=address, name=it.dns_name: answers(address, context=trusted, named=name),
            "the notebook answers by the name of its launch",
        )
    with pytest.raises(ssl.SSLCertVerificationError):
        await answers(address, context=trusted, named=one.dns_name)


async def test_a_profile_may_put_its_pods_into_another_namespace(make: Make, namespace: Callable[[], Kubectl]) -> None:
    elsewhere = namespace()
    override = {"namespace": elsewhere.namespace, "cpu_guarantee": 0.05}
    it = make(profile_list=[{"display_name": "Here"}, {"display_name": "There", "kubespawner_override": override}])
    it.user_options = {"profile": "there"}

    await launch(it)

    assert elsewhere.get("pod", it.pod_name)["status"]["phase"] == "Running"
    assert await it.poll_launch() is None
    assert it.get_state()["namespace"] == elsewhere.namespace
    await it.end_launch()
    assert elsewhere.find("pod", it.pod_name) is None


async def test_each_person_may_have_a_namespace(make: Make, kubectl: Kubectl) -> None:
    """Made at their first start."""
    it = make(
        enable_user_namespaces=True,
        user_namespace_template="place-of-{username}",
        user_namespace_labels={"of": "{username}"},
    )
    assert it.namespace == f"place-of-{it.user.name}"
    try:
        await launch(it)

        assert kubectl.get("namespace", it.namespace)["metadata"]["labels"]["of"] == it.user.name
        assert kubectl.within(it.namespace).get("pod", it.pod_name)["status"]["phase"] == "Running"
        assert await it.poll_launch() is None
        await it.end_launch()
        assert kubectl.within(it.namespace).find("pod", it.pod_name) is None
    finally:
        kubectl("delete", "namespace", it.namespace, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("handled", [True, False])
async def test_a_claim_of_an_older_kubespawner_is_found_again(handled: bool, make: Make, kubectl: Kubectl) -> None:
    """Where the site has it so; its name is then remembered, whatever the template says later."""
    who = f"Needs-Escape{handled}"
    claims = {"storage_pvc_ensure": True, "storage_capacity": "1Mi", "pvc_name_template": "claim-{username}"}
    old = make(user=who, slug_scheme="escape", **claims)
    await launch(old)
    state = {name: old.get_state()[name] for name in ("namespace", "pod_name", "dns_name")}
    await old.end_launch(now=True)
    new = make(user=who, handle_legacy_names=handled, state=state, **claims)
    fresh = new.pvc_name
    assert fresh != old.pvc_name

    await launch(new)
    await new.end_launch(now=True)

    assert new.pvc_name == (old.pvc_name if handled else fresh)
    later = {"state": new.get_state(), **claims, "pvc_name_template": "other-{username}"}
    assert make(user=who, **later).pvc_name == new.pvc_name
    assert make(user=who, remember_pvc_name=False, **later).pvc_name.startswith("other-")
    assert {each["metadata"]["name"] for each in kubectl.all("persistentvolumeclaims")} >= {new.pvc_name}


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_pod_that_has_ended_is_kept_where_the_site_wants_it(
    deleted: bool, make: Make, kubectl: Kubectl
) -> None:
    """Its status is told in both cases."""
    ends = f"import os, threading; threading.Timer(3, os._exit, [7]).start(); {SERVE}"
    policy = {"restartPolicy": "Never"}
    it = make(cmd=["python3", "-c", ends], delete_stopped_pods=deleted, extra_pod_config=policy)
    await launch(it)

    end = time.monotonic() + WAIT_S
    while (status := await it.poll_launch()) is None:
        assert time.monotonic() < end, "the notebook has ended"
        await asyncio.sleep(0.2)

    assert (status, await it.exit_status()) == (7, 7)
    found = kubectl.find("pod", it.pod_name)
    assert (found is None or "deletionTimestamp" in found["metadata"]) is deleted


async def test_a_notebook_has_the_time_to_end_that_the_site_gives_it(make: Make, kubectl: Kubectl) -> None:
    """Unless it is to go now."""
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVE}"
    slow, fast = (make(cmd=["python3", "-c", deaf], delete_grace_period=4) for _ in range(2))
    for it in (slow, fast):
        await launch(it)
        address = kubectl.get("pod", it.pod_name)["status"]["podIP"]
        await soon(lambda address=address: answers(address), "the notebook answers, and is deaf from then on")

    begun = time.monotonic()
    await slow.end_launch()
    took = time.monotonic() - begun
    begun = time.monotonic()
    await fast.end_launch(now=True)

    assert took >= 4
    assert time.monotonic() - begun < took
