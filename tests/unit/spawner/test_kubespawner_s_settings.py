"""Every setting of KubeSpawner does here what it does there: both are asked to make the same, and it is compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubespawner
import pytest
from cryptography import x509
from jupyterhub.app import JupyterHub
from jupyterhub.objects import Hub, Server
from jupyterhub.spawner import Spawner
from kubespawner import KubeSpawner
from traitlets.config import Config

from gpuqueue_spawner.spawner.errors import InvalidOption
from gpuqueue_spawner.spawner.form import render_form
from gpuqueue_spawner.spawner.jobs import JobView, Permit
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

from .kubespawner_settings import BESIDE, ELSEWHERE, SHOWN
from .kubespawners import no_cluster

#: What is stricter here unless the site says otherwise; docs/howto/kubernetes.md tells it.
STRICTER = {"pod_security_context": {}, "container_security_context": {}}
POD = {
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "notebook", "ports": [{"name": "notebook-port", "containerPort": 8888}]}]},
    "status": {"podIP": "10.1.0.9"},
}
KEY = "9f86d081884c7d659a2feaa0c55ad015"
CASES = [(name, number) for name, values in SHOWN.items() for number in range(len(values))]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cluster(tmp_path, monkeypatch)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """What internal SSL has made."""
    made = {}
    for name in ("keyfile", "certfile", "cafile"):
        (tmp_path / name).write_text(name)
        made[name] = str(tmp_path / name)
    return made


async def _no_state() -> None:
    return None


def made_of(kind: type[KubeSpawner], files: dict[str, str], section: str = "KubeSpawner", **settings: Any) -> Any:
    config = Config()
    config[section].update(STRICTER | {"cmd": ["jupyterhub-singleuser"]} | settings)
    internal = {"internal_ssl": config[section].pop("internal_ssl", False), "cert_paths": files}
    user = SimpleNamespace(name="ada.l_x", id=7, url="/user/ada/", escaped_name="ada.l_x", settings={}, groups=[])
    user.get_auth_state = _no_state
    named = SimpleNamespace(name="Second one", server=None, user_options={})
    it = kind(_mock=True, user=user, hub=Hub(ip="10.0.0.1", port=8081), orm_spawner=named, config=config, **internal)
    it.internal_trust_bundles = {"hub-ca": files["cafile"]}
    it.server = Server()
    it.user_options = {}
    return it


async def everything(it: KubeSpawner) -> dict[str, Any]:
    """All that one makes, as the cluster would be told it."""
    namespaces: list[Any] = []

    class Api:
        api_client = it.api.api_client

        async def create_namespace(self, namespace: Any) -> None:
            namespaces.append(namespace)

    it.api = Api()
    if it.enable_user_namespaces:
        await it._ensure_namespace()
    made = {
        "pod": await it.get_pod_manifest(),
        "claim": it.get_pvc_manifest(),
        "certificates": it.get_secret_manifest({"uid": "1"}),
        "service": it.get_service_manifest({"uid": "1"}, 8888),
        "namespaces": namespaces,
        "names": [it.pod_name, it.dns_name, it.secret_name, it.pvc_name, it.namespace],
        "names for certificates": it.ssl_alt_names(it) if callable(it.ssl_alt_names) else it.ssl_alt_names,
        "url": it._get_pod_url(POD),
        "hub": [it.hub.connect_ip, it.hub.connect_port],
    }
    document: dict[str, Any] = it.api.api_client.sanitize_for_serialization(made)
    return document


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_a_setting_makes_what_it_makes_in_kubespawner(name: str, number: int, files: dict[str, str]) -> None:
    """Set for KubeSpawner, as a site has it, or for ours; by a profile too. The example is one that shows."""
    beside = BESIDE.get(name, {})
    setting = {**beside, name: SHOWN[name][number]}

    stock = await everything(made_of(KubeSpawner, files, **setting))
    ours = await everything(made_of(GPUQueueKubeSpawner, files, **setting))
    under_our_name = await everything(made_of(GPUQueueKubeSpawner, files, "GPUQueueKubeSpawner", **setting))

    assert stock != await everything(made_of(KubeSpawner, files, **beside))
    assert ours == under_our_name == stock


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_a_profile_that_overrides_a_setting_does_what_it_does_in_kubespawner(
    name: str, number: int, files: dict[str, str]
) -> None:
    """A value, or a function of the spawner that gives it; also when it was asked for once before its launch."""
    value = SHOWN[name][number]
    override = {name: (lambda spawner: value if spawner.user.name else None) if callable(value) else value}
    profiles = [{"display_name": "Other"}, {"display_name": "It", "slug": "it", "kubespawner_override": override}]
    made = []

    for kind in (KubeSpawner, GPUQueueKubeSpawner):
        it = made_of(kind, files, **BESIDE.get(name, {}), profile_list=profiles)
        it.user_options = {"profile": "it"}
        if kind is GPUQueueKubeSpawner:
            await it.wish()
        await it.load_user_options()
        made.append(await everything(it))

    assert made[0] == made[1]


async def test_a_profile_s_function_is_given_the_spawner_that_asks(files: dict[str, str]) -> None:
    """Of a choice too, by every spawner's profiles: what is asked for, and what the form tells of it."""
    override = {"mem_guarantee": lambda spawner: "2G" if spawner.user.name == "ada.l_x" else "1G"}
    choice = {"display_name": "A", "kubespawner_override": {"cpu_guarantee": lambda spawner: len(spawner.user.name)}}
    profile = {
        "display_name": "It",
        "kubespawner_override": override,
        "profile_options": {"o": {"choices": {"a": choice}}},
    }
    it = made_of(GPUQueueKubeSpawner, files, profile_list=[profile])

    wish = await it.wish()

    assert (wish.resources.cpus, wish.resources.memory) == (7, 2 * 2**30)
    assert {each["resources"]["memory"] for each in await asked_by_the_form(it)} == {2 * 2**30}


async def test_a_profile_may_override_our_settings_too(files: dict[str, str]) -> None:
    """As KubeSpawner's: what is a dictionary is added to."""
    override = {"data_sets": {"data/b": "/b"}, "share_claim": "other"}
    profile = {"display_name": "It", "kubespawner_override": override}
    it = made_of(GPUQueueKubeSpawner, files, profile_list=[profile], data_sets={"data/a": "/a"}, share_claim="share")

    await it.wish()

    mounts = (await everything(it))["pod"]["spec"]["containers"][0]["volumeMounts"]
    assert [each["mountPath"] for each in mounts] == ["/home/jovyan", "/a", "/b"]


async def asked_by_the_form(it: GPUQueueKubeSpawner) -> Any:
    """What the form asks the queue about."""
    bodies: list[Any] = []

    async def post(path: str, body: Any, *, within: float) -> dict[str, Any]:
        bodies.append(body)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GPUQueueKubeSpawner, "queue", SimpleNamespace(post=post))
        await render_form(it)
    return bodies[0]["choices"]


PROFILES = [
    {"display_name": "First", "kubespawner_override": {"image": "first:1"}},
    {
        "display_name": "With options",
        "slug": "with",
        "kubespawner_override": {"environment": {"MORE": "yes", "GONE": None}},
        "profile_options": {
            "image": {
                "display_name": "Image",
                "choices": {
                    "tf": {"display_name": "TensorFlow", "kubespawner_override": {"image": "tf:1"}},
                    "pt": {"display_name": "PyTorch", "default": True, "kubespawner_override": {"image": "pt:1"}},
                },
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "Another",
                    "validation_regex": "^registry/.*$",
                    "kubespawner_override": {"image": "{value}", "environment": {"FROM": "{value}"}},
                },
            },
            "size": {
                "display_name": "Size",
                "choices": {
                    "s": {"display_name": "S", "kubespawner_override": {"mem_limit": "1G", "cpu_limit": 1}},
                    "l": {"display_name": "L", "kubespawner_override": {"mem_limit": "9G"}},
                },
            },
        },
    },
    {
        "display_name": "With",
        "slug": "with-more",
        "profile_options": {"image": {"choices": {"a": {"display_name": "A"}}}},
    },
]
FORMS: list[dict[str, list[str]]] = [
    {},
    {"profile": ["first"]},
    {"profile": ["with"]},
    {"profile": ["with"], "profile-option-with--image": ["tf"], "profile-option-with--size": ["l"]},
    {"profile": ["with"], "profile-option-with--image--unlisted-choice": ["registry/own:2"]},
    {"profile": ["with"], "profile-option-with--size": ["l"], "profile-option-with-more--image": ["a"]},
    {"profile": ["with-more"], "profile-option-with-more--image": ["a"], "profile-option-with--size": ["l"]},
]


async def _by_function(_: Any) -> Any:
    return PROFILES


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    "profiles",
    [PROFILES, {f"{number}": each for number, each in enumerate(PROFILES)}, _by_function],
    ids=["list", "dict", "function"],
)
async def test_a_form_leads_to_the_pod_that_it_leads_to_in_kubespawner(
    form: dict[str, list[str]], profiles: Any, files: dict[str, str]
) -> None:
    """With the same options, so that those which the Hub remembers are good in both; and sent by the API as well."""
    start = {"profile_list": profiles, "environment": {"GONE": "there", "STAYS": "there"}}
    stock, ours, sent = (made_of(kind, files, **start) for kind in (KubeSpawner, *[GPUQueueKubeSpawner] * 2))
    stock.user_options = stock.options_from_form(form)
    ours.user_options = await ours.options_from_form(form)
    sent.user_options = dict(stock.user_options)
    for it in (stock, ours, sent):
        if it is not stock:
            await it.wish()
        await it.load_user_options()

    assert ours.user_options == stock.user_options
    assert await everything(stock) == await everything(ours) == await everything(sent)


async def test_a_value_that_the_profile_does_not_allow_is_refused_as_in_kubespawner(files: dict[str, str]) -> None:
    it = made_of(GPUQueueKubeSpawner, files, profile_list=PROFILES)
    it.user_options = {"profile": "with", "image--unlisted-choice": "elsewhere/x"}

    with pytest.raises(InvalidOption):
        await it.wish()
    with pytest.raises(ValueError, match="image"):
        await it.load_user_options()


@pytest.mark.parametrize("how", ["template", "path"])
async def test_a_site_s_own_form_of_its_profiles_is_shown(how: str, files: dict[str, str], tmp_path: Path) -> None:
    """Inside the queue's, with what was chosen the last time."""
    text = "{% for each in profile_list %}<b>{{ each.slug }} of {{ user_options.profile }}</b>{% endfor %}"
    (tmp_path / "form.html").write_text(text)
    own = {"profile_form_template": text} if how == "template" else {}
    own |= {} if own else {"additional_profile_form_template_paths": [str(tmp_path)]}
    it = made_of(GPUQueueKubeSpawner, files, profile_list=PROFILES, **own)
    it.user_options = {"profile": "with"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GPUQueueKubeSpawner, "queue", SimpleNamespace(post=_nothing))
        shown = await render_form(it)

    assert "<b>first of with</b><b>with of with</b><b>with-more of with</b>" in shown
    assert "gpuqueue-hours" in shown


async def _nothing(*_: Any, **__: Any) -> dict[str, Any]:
    return {}


# ---- what goes with a launch -----------------------------------------------------------------------------------------


async def launched(it: GPUQueueKubeSpawner, launch: int) -> None:
    """Up to the point where the cluster would be asked."""

    async def nothing(*_: Any) -> None:
        return None

    view = JobView.of_document({"id": 7, "key": KEY, "state": "starting", "version": 4, "placement": {"node": "dgx1"}})
    environment = {"GPUQUEUE_JOB": f"0123456789abcdef/{KEY}/{launch}"}
    it._permit = Permit(job=view, launch=launch, ticket="t", environment=environment)
    it._end_earlier = it._made = nothing  # type: ignore[method-assign]
    await it.launch(it._permit)


async def test_a_certificate_is_for_the_name_of_its_launch(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub makes one before the wait, in files that all servers of a person share."""
    monkeypatch.chdir(tmp_path)
    app = JupyterHub(config=Config({"JupyterHub": {"internal_ssl": True, "internal_certs_location": "ssl"}}))
    app.init_internal_ssl()
    one, other = (made_of(GPUQueueKubeSpawner, files, internal_ssl=True) for _ in range(2))
    for it in (one, other):
        it.internal_trust_bundles, it.internal_certs_location = app.internal_trust_bundles, app.internal_certs_location
    one.cert_paths = await one.create_certs()
    await other.create_certs()

    for launch in (1, 2):
        await launched(one, launch)

        with open(one.cert_paths["certfile"], "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert one.dns_name in names.get_values_for_type(x509.DNSName)
        assert f"-{launch}." in one.dns_name


async def test_names_of_the_site_s_own_stay_in_the_certificate(files: dict[str, str]) -> None:
    it = made_of(GPUQueueKubeSpawner, files, ssl_alt_names=["DNS:notebooks.example.org"])
    assert it.ssl_alt_names == ["DNS:notebooks.example.org"]


async def test_a_service_leads_to_the_pod_of_its_launch(files: dict[str, str]) -> None:
    """And to it only: the pod on a node that died has the same user and server."""
    it = made_of(GPUQueueKubeSpawner, files, services_enabled=True)
    await launched(it, 2)

    service = it.get_service_manifest({"uid": "1"}, 8888)

    assert service.metadata.name == it.pod_name
    assert {
        "gpuqueue.jupyter.org/key": KEY,
        "gpuqueue.jupyter.org/launch": "2",
    }.items() <= service.spec.selector.items()
    assert it._get_pod_url(POD) == f"http://{it.dns_name}:8888"


OLD_NAMES = [(old, new) for old, (new, _) in KubeSpawner._deprecated_traits.items() if new in SHOWN]


@pytest.mark.parametrize(("old", "new"), OLD_NAMES)
async def test_a_setting_s_old_name_still_counts(old: str, new: str, files: dict[str, str]) -> None:
    """Where KubeSpawner still knows one."""
    beside, value = BESIDE.get(new, {}), SHOWN[new][0]

    ours = await everything(made_of(GPUQueueKubeSpawner, files, **beside, **{old: value}))

    assert ours == await everything(made_of(KubeSpawner, files, **beside, **{new: value}))


def test_every_setting_of_kubespawner_is_looked_at() -> None:
    """Those of a release that is newer than this table are at least by default what they are there."""
    theirs = {*KubeSpawner.class_traits(config=True)} - {*Spawner.class_traits(config=True)}
    new = sorted(theirs - {*SHOWN} - {*ELSEWHERE})

    assert not {*SHOWN} & {*ELSEWHERE}
    assert not ({*SHOWN} | {*ELSEWHERE}) - {*KubeSpawner.class_traits(config=True)}
    assert new == [] or not kubespawner.__version__.startswith("7.1.")
    ours = GPUQueueKubeSpawner.class_traits()
    assert [name for name in new if ours[name] is not KubeSpawner.class_traits()[name]] == []
