"""What the chart makes of values: taken by a real API server, and refused where a value is none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.kubernetes.chart import Values, notes, refused, rendered
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.homes import PAGE
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.rights import told

HOMES = "renderings-homes"
OF_NO_NAMESPACE = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
LDAP = {"server_address": "ldap.example.org", "bind_dn_template": ["uid={username},ou=people,dc=example,dc=org"]}
SERVER = {"kind": "external", "existingSecret": "database"}
NFS = {"type": "share", "homesFolder": "storage/share", "nfs": {"server": "nfs.example.org", "path": "/export/dgx"}}
VARIATIONS: dict[str, dict[str, Any]] = {
    "nothing set": {},
    "a database server": {"database": SERVER},
    "three managers": {"database": SERVER, "manager": {"replicas": 3}},
    "another hub": {"hub": {"enabled": False}, "database": SERVER},
    "a directory": {"hub": {"config": {"GPUQueueLDAPAuthenticator": LDAP}, "adminGroups": ["DGX-Admins"]}},
    "an own secret": {"secrets": {"existingSecret": "ours"}},
    "an ingress": {
        "baseUrl": "/jupyter/",
        "proxy": {"ingress": {"enabled": True, "host": "hub.example.org", "tlsSecret": "tls", "className": "nginx"}},
    },
    "a node port": {"proxy": {"service": {"type": "NodePort", "nodePort": 30080}}},
    "homes": {"storage": {"type": "claim", "claim": "homes"}},
    "a share": {
        "storage": {
            "type": "share",
            "claim": "share",
            "homesFolder": "storage/share",
            "homesUrl": "http://gpuqueue-homes:8085",
            "homesSecret": "gpuqueue-homes",
            "dataSets": {"data": "/data"},
            "scratchSize": "200Gi",
        }
    },
    "a share and its folders": {"storage": NFS, "homes": {"enabled": True}},
    "a share, its folders and own secrets": {
        "storage": NFS | {"claim": "share", "homesSecret": "homes"},
        "homes": {"enabled": True, "nodeSelector": {"role": "service"}, "minimumUid": 500},
        "secrets": {"existingSecret": "ours"},
    },
    "a volume for each person": {"storage": NFS, "homes": {"enabled": True, "volumes": True}},
    "a volume for each person of a top, and data": {
        "storage": NFS | {"homesFolder": "", "dataSets": {"data": "/data"}, "nfs": {"server": "fd00::1", "path": "/"}},
        "homes": {"enabled": True, "volumes": True},
    },
    "own volumes": {
        "database": {"volume": {"existingClaim": "queue"}},
        "hub": {"volume": {"existingClaim": "hub"}, "database": {"existingSecret": "hub-database"}},
    },
    "networks": {
        "networkPolicy": {
            "prometheus": {"namespace": "monitoring", "podLabels": {"app": "prometheus"}},
            "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32"]},
            "proxy": {"cidrs": ["192.0.2.0/24"]},
        }
    },
    "no policies": {"networkPolicy": {"enabled": False}},
    "openshift": {"securityContext": {"runAsUser": None, "fsGroup": None}},
    "placed": {
        part: {
            "nodeSelector": {"role": "service"},
            "tolerations": [{"key": "service", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "system-cluster-critical",
        }
        for part in ("manager", "hub", "proxy")
    },
    "settings": {
        "manager": {"config": {"Policy": {"gpus": 8}, "KubernetesCapacity": {"max_age": 60.0}}},
        "hub": {"extraConfig": "c.JupyterHub.log_level = 'DEBUG'\n", "extraSecret": "extra"},
        "rbac": {"patchNodes": True},
        "images": {"pullSecrets": ["registry"]},
    },
}
WRONG: dict[str, tuple[Values, str]] = {
    "a typo": ({"hub": {"namedServer": 3}}, "'namedServer' not allowed"),
    "a typo at the top": ({"noteboks": {}}, "'noteboks' not allowed"),
    "a typo in a setting": ({"manager": {"config": {"Policy": {"gpu": 8}}}}, "'gpus'"),
    "a section that is none": ({"hub": {"config": {"LDAP": {}}}}, "'LDAP' not allowed"),
    "a word for a number": ({"notebooks": {"gpuCounts": ["two"]}}, "want integer"),
    "two managers of one file": ({"manager": {"replicas": 2}}, "/manager/replicas"),
    "a server without its address": ({"database": {"kind": "external"}}, "/database/existingSecret"),
    "an ingress without its name": ({"proxy": {"ingress": {"enabled": True}}}, "/proxy/ingress/host"),
    "a claim without its name": ({"storage": {"type": "claim"}}, "/storage/claim"),
    "a share without who makes folders": ({"storage": {"type": "share", "claim": "share"}}, "/storage/homesUrl"),
    "a share without its path": ({"storage": {"type": "share", "nfs": {"server": "nfs"}}}, "/storage/nfs/path"),
    "folders of no share": ({"homes": {"enabled": True}}, "/storage/type"),
    "folders without a server": (
        {"homes": {"enabled": True}, "storage": {"type": "share", "claim": "share"}},
        "/storage/nfs/server",
    ),
    "volumes without who makes them": ({"homes": {"volumes": True}}, "/homes/enabled"),
    "two who make folders": (
        {"homes": {"enabled": True}, "storage": NFS | {"homesUrl": "http://homes:8085"}},
        "/storage/homesUrl",
    ),
    "an own secret without its part for folders": (
        {"homes": {"enabled": True}, "storage": NFS, "secrets": {"existingSecret": "ours"}},
        "/storage/homesSecret",
    ),
    "folders for another hub": (
        {"homes": {"enabled": True}, "storage": NFS, "hub": {"enabled": False}},
        "/hub/enabled",
    ),
    "a path without its end": ({"baseUrl": "/jupyter"}, "/baseUrl"),
    "everybody's numbers": ({"notebooks": {"uid": 0}}, "/notebooks/uid"),
}


@pytest.fixture(scope="module")
def kubectl(any_cluster: Cluster) -> Iterator[Kubectl]:
    """A namespace that warns of pods that "restricted" does not admit; and one for whom only "baseline" does."""
    name = "renderings"
    any_cluster.kubectl("create", "namespace", name)
    any_cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")
    any_cluster.kubectl("create", "namespace", HOMES)
    any_cluster.kubectl("label", "namespace", HOMES, "pod-security.kubernetes.io/warn=baseline")
    yield any_cluster.kubectl.within(name)
    for each in (name, HOMES):
        any_cluster.kubectl("delete", "namespace", each, "--wait=false")


def of(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("variation", VARIATIONS)
def test_every_rendering_is_taken_by_the_api_server(variation: str, kubectl: Kubectl) -> None:
    """Without a warning: nothing is out of date, and every pod is one that Pod Security "restricted" admits."""
    values = VARIATIONS[variation]
    assert refused(values) == ""
    here = {
        "notebooks": {"namespace": {"name": kubectl.namespace, "create": False}},
        "homes": values.get("homes", {}) | {"namespace": {"name": HOMES, "create": False}},
    }

    objects = rendered(values | here, namespace=kubectl.namespace)
    for each in objects:
        if each["kind"] not in OF_NO_NAMESPACE:
            each["metadata"].setdefault("namespace", kubectl.namespace)  # the command takes one only if all are in it
    taken = Kubectl(kubectl.kubeconfig).tried(
        *("apply", "--dry-run=server", "--filename=-"), text="\n---\n".join(map(json.dumps, objects))
    )

    assert taken.returncode == 0, taken.stderr
    assert taken.stderr == ""
    assert len(taken.stdout.splitlines()) == len(objects)


@pytest.mark.parametrize("wrong", WRONG)
def test_values_that_cannot_be_are_refused_in_words(wrong: str) -> None:
    values, words = WRONG[wrong]

    assert words in refused(values)


def test_two_renderings_agree_but_for_what_is_made_by_chance() -> None:
    """With a secret of the site's own there is none of that: tools that compare renderings see no change."""
    values = VARIATIONS["an own secret"] | {"database": SERVER}

    assert rendered(values) == rendered(values)


def test_the_manager_may_list_and_watch_nodes_and_pods_and_nothing_else() -> None:
    def rules(values: Values) -> list[Object]:
        rules: list[Object] = of(rendered(values), "ClusterRole", "hub-gpuqueue-manager")["rules"]
        return rules

    least = {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"]}
    assert rules({}) == [least]
    assert rules({"rbac": {"patchNodes": True}}) == [
        least,
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
    ]


def test_only_proxy_hub_and_prometheus_reach_the_manager() -> None:
    objects = rendered(VARIATIONS["networks"])

    spec = of(objects, "NetworkPolicy", "gpuqueue-manager")["spec"]
    (rule,) = spec["ingress"]
    components = [
        each["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for each in rule["from"]
        if "namespaceSelector" not in each
    ]
    assert components == ["hub", "proxy"]
    (outside,) = (each for each in rule["from"] if "namespaceSelector" in each)
    assert outside["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert outside["podSelector"]["matchLabels"] == {"app": "prometheus"}
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_who_makes_folders_has_no_rights_and_is_reached_by_the_hub_alone() -> None:
    """An account without a role, no token of it, and a policy that lets nothing out."""
    objects = rendered(VARIATIONS["a share and its folders"])

    spec = of(objects, "NetworkPolicy", "gpuqueue-homes")["spec"]
    ((peer,),) = (each["from"] for each in spec["ingress"])
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "hub"}
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "hub"
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in spec
    pod = of(objects, "Deployment", "gpuqueue-homes")["spec"]["template"]["spec"]
    assert not pod["automountServiceAccountToken"]
    bound = [subject for each in objects if each["kind"].endswith("Binding") for subject in each["subjects"]]
    assert len(bound) == 2
    assert pod["serviceAccountName"] not in [subject["name"] for subject in bound]


def test_who_makes_volumes_lists_and_creates_them_and_reaches_the_api_server() -> None:
    """Nobody else may; and without volumes there is neither role nor policy."""
    objects = rendered(VARIATIONS["a volume for each person"])

    role = of(objects, "ClusterRole", "hub-gpuqueue-homes")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["create", "list"]}]
    others = [each for each in objects if each["kind"].endswith("Role") and each is not role]
    assert "persistentvolumes" not in [what for each in others for rule in each["rules"] for what in rule["resources"]]
    assert of(objects, "NetworkPolicy", "gpuqueue-homes")["spec"]["egress"] == [
        {"ports": [{"port": port, "protocol": "TCP"} for port in (443, 6443)]}
    ]
    assert "hub-gpuqueue-homes" not in [
        each["metadata"]["name"] for each in rendered(VARIATIONS["a share and its folders"])
    ]


def test_the_guide_tells_what_the_chart_brings_for_volumes() -> None:
    """Of the share and the namespaces that the guide speaks of."""
    here = {
        "homes": {"enabled": True, "volumes": True, "namespace": {"name": "gpuqueue-homes"}},
        "notebooks": {"namespace": {"name": "notebooks"}},
    }
    objects = rendered({"storage": NFS, **here})

    for kind, part in (("ValidatingAdmissionPolicy", "spec"), ("ClusterRole", "rules")):
        chart, guide = of(objects, kind, "hub-gpuqueue-homes")[part], told(kind, "gpuqueue-homes", PAGE)[part]
        assert " ".join(json.dumps(chart).split()) == " ".join(json.dumps(guide).split())


def test_with_a_volume_for_each_person_nothing_claims_the_whole_share() -> None:
    """Except where there is data for all: that is mounted by it."""

    def claims(variation: str) -> tuple[str, list[str]]:
        objects = rendered(VARIATIONS[variation])
        storage = json.loads(of(objects, "ConfigMap", "gpuqueue-hub")["data"]["values.json"])["storage"]
        assert storage["home_claims"] == VARIATIONS[variation]["homes"].get("volumes", False)
        volumes = [each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolume"]
        return storage["claim"], volumes

    assert claims("a volume for each person") == ("", [])
    assert claims("a volume for each person of a top, and data")[1] == ["gpuqueue-notebooks-gpuqueue-share"]
    assert claims("a share and its folders")[1] == ["gpuqueue-notebooks-gpuqueue-share"]


def test_a_cluster_that_cannot_hold_it_to_volumes_of_the_share_gets_none() -> None:
    with pytest.raises(AssertionError, match=r"homes\.volumes needs Kubernetes 1\.30 or later"):
        rendered(VARIATIONS["a volume for each person"], version="1.29.0")


def test_the_hub_shows_what_the_service_of_folders_knows() -> None:
    """One secret in two namespaces, made by chance; and by an address that the service has."""
    objects = rendered(VARIATIONS["a share and its folders"])

    assert (
        of(objects, "Secret", "gpuqueue")["data"]["homes"] == of(objects, "Secret", "gpuqueue-homes")["data"]["homes"]
    )
    where = of(objects, "Service", "gpuqueue-homes")["metadata"]["namespace"]
    storage = json.loads(of(objects, "ConfigMap", "gpuqueue-hub")["data"]["values.json"])["storage"]
    assert storage["homes_url"] == f"http://gpuqueue-homes.{where}:8085"
    claim = next(each for each in objects if each["kind"] == "PersistentVolumeClaim" and "volumeName" in each["spec"])
    assert storage["claim"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] in [
        each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolume"
    ]


def test_every_selector_finds_the_pods_that_it_means() -> None:
    """Services, policies and budgets by the labels that the pods really have."""
    objects = rendered({"database": SERVER, **VARIATIONS["a share and its folders"]})
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in objects if each["kind"] == "Deployment"]

    def selectors(found: Any) -> Iterator[dict[str, str]]:
        if isinstance(found, dict):
            for key, value in found.items():
                if key in ("matchLabels", "selector") and "app.kubernetes.io/name" in value:
                    yield value
                else:
                    yield from selectors(value)
        elif isinstance(found, list):
            yield from itertools.chain.from_iterable(map(selectors, found))

    wanted = list(selectors(objects))
    assert len(wanted) > 15
    for each in wanted:
        assert sum(each.items() <= pod.items() for pod in labels) == 1, each


def test_no_secret_is_in_what_everybody_may_read() -> None:
    objects = rendered({})
    (secret,) = (each for each in objects if each["kind"] == "Secret")
    others = json.dumps([each for each in objects if each["kind"] != "Secret"])

    assert len(secret["data"]) == 7
    for value in secret["data"].values():
        assert value not in others


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, "NOBODY CAN LOG IN YET", "stands by"),
        (VARIATIONS["a directory"], "Files of notebooks are gone", "NOBODY CAN LOG IN YET"),
        (VARIATIONS["homes"], "Nobody is an admin of the queue yet", "Files of notebooks are gone"),
        (VARIATIONS["an ingress"], "https://hub.example.org/jupyter/\n", "port-forward"),
        (VARIATIONS["a database server"], "the other stands by and is not", "Tell your Hub"),
        (VARIATIONS["another hub"], "secret gpuqueue, key service-token", "Open the Hub"),
    ],
    ids=["nothing set", "a directory", "homes", "an ingress", "two managers", "another hub"],
)
def test_the_notes_say_what_is_missing_and_what_is_next(values: Values, said: str, unsaid: str) -> None:
    found = notes(values)

    assert said in found
    assert unsaid not in found
