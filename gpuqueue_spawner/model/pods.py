"""What a pod takes from its node and demands of it, by its manifest as Kubernetes' JSON has it; the labels of a job's.

Knows quantities and the rules by which Kubernetes adds containers up; what a demand means: constraints.py. Which pods
there are: capacity/kubernetes/. Whose manifest becomes a job: spawner/kubernetes.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from typing import Any

from .constraints import HOST, OPERATORS, Constraints, Expression, Term, Toleration, whole
from .resources import InvalidResources, Resources

#: On every pod of a job, and what an operator selects by: `kubectl get pods -l gpuqueue.jupyter.org/instance`.
INSTANCE = "gpuqueue.jupyter.org/instance"  #: id of the installation that made it
KEY = "gpuqueue.jupyter.org/key"  #: the job's key
JOB = "gpuqueue.jupyter.org/job"  #: the job's id, for people
LAUNCH = "gpuqueue.jupyter.org/launch"  #: number of the launch that made it
#: Beside the same as annotations, where names need not be shortened or escaped.
USER = "gpuqueue.jupyter.org/user"  #: whose it is
SERVER = "gpuqueue.jupyter.org/server"  #: which of that person's servers; empty: the default one

#: Names of resources that are GPUs, for people and their limits. What else a device plugin counts, such as the network
#: devices of rdma/ib, only decides where a pod fits.
GPUS = (
    "*/gpu",
    "*/gpu.shared",
    "nvidia.com/mig-*",
    "amd.com/*",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
)
PODS = "pods"  #: how many more a node takes, whatever they ask for

# No longer exponent than two digits: Kubernetes' numbers end at 64 bits, and ours would fill the memory.
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,2})|([KMGTPE]i|[numkMGTPE])?)")
_SUFFIXES = {
    "": Decimal(1),
    **{name: Decimal(1000) ** power for name, power in {"n": -3, "u": -2, "m": -1}.items()},
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}

Amounts = dict[str, Decimal]


def quantity(value: object, *, field: str = "quantity") -> Decimal:
    """Read a quantity of Kubernetes: 2, "1500m", "8Gi", "1e3".

    :raises InvalidResources: it is none, or below zero.
    """
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float | Decimal) else None
    if found is None or isinstance(value, bool):
        raise InvalidResources(field, value, 'a quantity such as 2, "1500m" or "8Gi"')
    number = Decimal(found[1] + (found[2] or "")) * _SUFFIXES[found[3] or ""]
    if number < 0:
        raise InvalidResources(field, value, "a quantity of 0 or more")
    return number


def pod_resources(spec: Mapping[str, Any]) -> Resources:
    """What a pod's spec takes from the node it is bound to.

    By the rule of the kube-scheduler (KEP-753): its containers together, or the largest init container with the
    sidecars that were started before it, whichever is more; pod-level requests in their place where there are any
    (KEP-2837); its overhead besides. A container without a request is counted by its limit, as the API server does.
    The pod itself takes one of the places that a node has for pods.

    :raises InvalidResources: a quantity that is none, or part of a device.
    """
    running = _sum(_requests(each) for each in spec.get("containers") or ())
    starting: Amounts = {}
    sidecars: Amounts = {}
    for init in spec.get("initContainers") or ():
        need = _requests(init)
        if init.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, need))
            starting = _most(starting, sidecars)
        else:
            starting = _most(starting, _sum((sidecars, need)))
    need = _most(_sum((running, sidecars)), starting) | _requests(spec)
    return as_resources(_sum((need, _amounts(spec.get("overhead"), "overhead"), {PODS: Decimal(1)})))


def refuse_impossible(spec: Mapping[str, Any]) -> None:
    """Make sure that an API server would take what a pod's spec asks for: it would be refused after its wait.

    A request is at most its limit; devices are asked for by a limit, and a request beside it is the same.

    :raises InvalidResources: it would not.
    """
    for kind, part in (("the pod", spec), *_containers(spec)):
        resources = part.get("resources") or {}
        limits = _amounts(resources.get("limits"), "limits")
        for name, amount in _amounts(resources.get("requests"), "requests").items():
            field, value = f"requests.{name} of {kind}", resources["requests"][name]
            most = (resources.get("limits") or {}).get(name)
            if _extended(name) and amount != limits.get(name, Decimal(0)):
                allowed = (
                    f"the same as its limit, {most}" if most is not None else "what a limit for it says; there is none"
                )
                raise InvalidResources(field, value, allowed)
            if name in limits and amount > limits[name]:
                raise InvalidResources(field, value, f"at most its limit, {most}")


def _containers(spec: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for each in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        yield f"container {each.get('name')}", each


def pod_constraints(spec: Mapping[str, Any]) -> Constraints:
    """What a pod's spec demands of the node it is bound to. What is not understood here demands nothing."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    selector = spec.get("nodeSelector") or {}
    tolerations = {_toleration(each) for each in spec.get("tolerations") or ()}
    return Constraints(
        selector=tuple(sorted((str(key), str(value)) for key, value in selector.items())),
        terms=_terms(required.get("nodeSelectorTerms") or ()),
        tolerations=tuple(sorted(tolerations, key=lambda each: (each.key, each.operator, each.value, each.effect))),
    )


def as_resources(amounts: Mapping[str, Any]) -> Resources:
    """Cores, bytes, and everything else by its name: GPUs, and what is none.

    :raises InvalidResources: a quantity that is none, or part of a device.
    """
    read = _amounts(amounts, "resources")
    counts = {
        name: _whole(name, amount) if _extended(name) else _bytes(amount)
        for name, amount in read.items()
        if name not in ("cpu", "memory")
    }
    return Resources(
        cpus=float(read.get("cpu", 0)),
        memory=_bytes(read.get("memory", Decimal(0))),
        gpus={name: count for name, count in counts.items() if is_gpu(name)},
        others={name: count for name, count in counts.items() if not is_gpu(name)},
    )


@functools.lru_cache(maxsize=1024)
def is_gpu(name: str) -> bool:
    """Whether what is counted under a name is a GPU, or a part of one that is given out as one."""
    return _extended(name) and any(fnmatchcase(name, pattern) for pattern in GPUS)


def understood(amounts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are quantities, of devices whole ones: one that is none must not hide the others."""
    return {name: amount for name, amount in (amounts or {}).items() if _is_understood(name, amount)}


def understood_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A pod's spec, as far as its resources go, with the understood amounts only."""
    kinds = ("containers", "initContainers")
    return {
        **{kind: [each | _understood_part(each) for each in spec.get(kind) or ()] for kind in kinds},
        **_understood_part(spec),
        "overhead": understood(spec.get("overhead")),
    }


def _understood_part(part: Mapping[str, Any]) -> dict[str, Any]:
    resources = part.get("resources") or {}
    return {"resources": {kind: understood(resources.get(kind)) for kind in ("requests", "limits")}}


def _is_understood(name: str, amount: Any) -> bool:
    try:
        as_resources({name: amount})
    except InvalidResources:
        return False
    return True


def _terms(given: Iterable[Mapping[str, Any]]) -> tuple[Term, ...]:
    terms = []
    for each in given:
        labels = each.get("matchExpressions") or ()
        fields = [field for field in each.get("matchFields") or () if field.get("key") == HOST]
        term = Term(labels=tuple(_expressions(labels)), fields=tuple(_expressions(fields)))
        if term == Term() and (labels or each.get("matchFields")):
            return ()  # nothing of it is understood: any node may match it
        terms.append(term)
    return tuple(terms)


def _expressions(given: Iterable[Mapping[str, Any]]) -> Iterator[Expression]:
    for each in given:
        operator, values = each.get("operator"), tuple(sorted(map(str, each.get("values") or ())))
        if operator in ("Gt", "Lt") and (len(values) != 1 or whole(values[0]) is None):
            continue
        if operator in OPERATORS and each.get("key"):
            yield Expression(key=str(each["key"]), operator=operator, values=values)


def _toleration(given: Mapping[str, Any]) -> Toleration:
    """Read one. An operator that is not known here may tolerate any value."""
    equal = (given.get("operator") or "Equal") == "Equal"
    return Toleration(
        key=given.get("key") or "",
        operator="Equal" if equal else "Exists",
        value=(given.get("value") or "") if equal else "",
        effect=given.get("effect") or "",
    )


def _extended(name: str) -> bool:
    """Whether a device plugin counts it: a name with a domain that is not Kubernetes' own."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def _bytes(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))


def _whole(name: str, count: Decimal) -> int:
    if count != count.to_integral_value():
        raise InvalidResources(name, str(count.normalize()), "a whole number of devices")
    return int(count)


def _requests(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources") or {}
    return _amounts(resources.get("limits"), "limits") | _amounts(resources.get("requests"), "requests")


def _amounts(given: Mapping[str, Any] | None, what: str) -> Amounts:
    return {name: quantity(value, field=f"{what}.{name}") for name, value in (given or {}).items()}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _most(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {*one, *other}}
