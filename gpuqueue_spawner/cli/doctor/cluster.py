"""Checks of a cluster's API server: that it answers, knows us, and lets us do what the manager needs and no more.

Knows rights. What its nodes have: nodes.py.
"""

from __future__ import annotations

from ...capacity.kubernetes.login import day, login_of
from ...capacity.kubernetes.reflector import ApiError
from .clocks import compared, now, of_header
from .deployment import Deployment
from .findings import Check, Finding, Place, ok, problem, warning

SOON_S = 14 * 24 * 3600.0  #: a certificate that ends within it should be renewed now
NEEDED = (("list", "nodes"), ("watch", "nodes"), ("list", "pods"), ("watch", "pods"))
CORDONS = ("patch", "nodes")  #: where drained nodes are cordoned, too
#: what would make whoever breaks into the manager an admin of the cluster, or a reader of its secrets
TOO_MUCH = (
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("update", "nodes"),
    ("create", "clusterrolebindings"),
)
RIGHTS = (
    "Give the manager's account a ClusterRole with list and watch of nodes and pods, as in the guide for Kubernetes; "
    "and patch of nodes if KubernetesCapacity.cordon_drained is set."
)


def login(it: Deployment) -> Finding:
    """Until when what we log in with is good."""
    try:
        found = login_of(it.cluster.api.configuration)
    except ApiError as error:
        return problem(
            f"There is no way to a cluster: {error}.",
            "Mend the file that KubernetesCapacity.kubeconfig or --kubeconfig names.",
        )
    except ImportError as error:
        return problem(f"A package is not installed ({error}).", "pip install 'gpuqueue-spawner[kubernetes]'")
    if found is None:
        return problem("The kubeconfig names neither certificate nor token.", "Give its user one.")
    if found.ends is None:
        return ok(f"It logs in by a {found.kind} that does not say when it ends.")
    if found.ended(now()):
        return problem(f"The {found.kind} ended on {day(found.ends)}.", "Renew it; the manager reads it by itself.")
    if found.kind != "token" and found.ends - now() < SOON_S:  # a pod's token is renewed every hour by itself
        return warning(f"The {found.kind} ends on {day(found.ends)}.", "Renew it before.")
    return ok(f"It logs in by a {found.kind} that is good until {day(found.ends)}.")


def answers(it: Deployment) -> Finding:
    """Whether it answers us at all."""
    address = it.cluster.address
    try:
        version = it.cluster.version().document.get("gitVersion", "of an unknown version")
        it.cluster.may(*NEEDED[0])  # the version is told to strangers too
    except ApiError as error:
        if error.status == 401:
            return problem(f"{error.sentence}.", "Renew the kubeconfig, or the account's token.")
        return problem(
            f"{address}: {error.sentence}.", "Is the API server up, and does a firewall let this host reach it?"
        )
    return ok(f"Kubernetes {version} answers at {address}.")


def clock(it: Deployment) -> Finding:
    """Against ours."""
    reply = it.cluster.version()
    return compared("The API server's", of_header(reply.date), asked=reply.asked, answered=reply.answered)


def rights(it: Deployment) -> Finding:
    """Enough, and not more."""
    who = it.cluster.user() or "this account"
    needed = (*NEEDED, CORDONS) if it.cordons else NEEDED
    lacking = [f"{verb} {resource}" for verb, resource in needed if not it.cluster.may(verb, resource)]
    if lacking:
        return problem(f"{who} may not {', '.join(lacking)}.", RIGHTS)
    more = [f"{verb} {resource}" for verb, resource in TOO_MUCH if it.cluster.may(verb, resource)]
    if more:
        return warning(
            f"{who} may also {', '.join(more)}.",
            f"Fine for an admin who looks; if the manager logs in so: {RIGHTS[:1].lower()}{RIGHTS[1:]}",
        )
    return ok(f"{who} may list and watch nodes and pods, and nothing that would hurt.")


CHECKS = tuple(
    Check(name=name, asks=asks, look=look, place=Place.CLUSTER, needs=needs)
    for name, asks, look, needs in (
        ("cluster.login", "What leads to the cluster can be read, and certificate or token are good.", login, ()),
        ("cluster.answers", "The API server answers, and accepts the login.", answers, ("cluster.login",)),
        ("cluster.clock", "The API server's clock agrees with this machine's.", clock, ("cluster.answers",)),
        (
            "cluster.rights",
            "The account may list and watch nodes and pods, and not read secrets or make pods.",
            rights,
            ("cluster.answers",),
        ),
    )
)
