"""Which nodes a pod may run on, besides those with room: by labels, by name, by the taints that it tolerates.

Knows the rules of the kube-scheduler on records, and their JSON. How they are read off a manifest: pods.py. Whom they
keep from which server: scheduling/pools.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
#: The only field of a node that terms speak of: its own name. Its label kubernetes.io/hostname may be another.
HOST = "metadata.name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taint:
    """What keeps the pods that do not tolerate it off a node."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toleration:
    """A taint that a pod does not mind; by default every one."""

    key: str = ""  #: empty: any
    operator: str = "Exists"  #: or "Equal": the value counts too
    value: str = ""
    effect: str = ""  #: empty: any

    def covers(self, taint: Taint) -> bool:
        """Whether this lets a pod onto a node with `taint`."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or self.value == taint.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """What one label or field has to be."""

    key: str
    operator: str  #: one of OPERATORS
    values: tuple[str, ...] = ()

    def holds(self, given: Mapping[str, str]) -> bool:
        """Whether it is so. A label that is not there is none of any values."""
        value = given.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if self.operator in ("Exists", "DoesNotExist"):
            return (value is not None) is (self.operator == "Exists")
        there, bound = whole(value), whole(next(iter(self.values), None))
        if there is None or bound is None:
            return False
        return there > bound if self.operator == "Gt" else there < bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One way to match: all of it holds. An empty one matches no node."""

    labels: tuple[Expression, ...] = ()
    fields: tuple[Expression, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node is as the term says."""
        if not self.labels and not self.fields:
            return False
        here = {HOST: name}
        return all(each.holds(labels) for each in self.labels) and all(each.holds(here) for each in self.fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraints:
    """What a job demands of a node besides room. By default nothing, and no taint is tolerated."""

    selector: tuple[tuple[str, str], ...] = ()  #: labels that must be there, by key
    terms: tuple[Term, ...] = ()  #: one of them has to match; none: any node does
    tolerations: tuple[Toleration, ...] = ()

    def select(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node is of the kind that is asked for."""
        if any(labels.get(key) != value for key, value in self.selector):
            return False
        return not self.terms or any(term.matches(name, labels) for term in self.terms)

    def kept_out_by(self, taints: Iterable[Taint]) -> tuple[Taint, ...]:
        """Those of a node's taints that are not tolerated."""
        return tuple(taint for taint in taints if not any(each.covers(taint) for each in self.tolerations))

    def document(self) -> dict[str, Any]:
        """As JSON; what is empty is left out."""
        found = asdict(self) | {"selector": dict(self.selector)}
        return {name: content for name, content in found.items() if content}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Constraints:
        """Read what document() wrote. Equal demands become equal records."""
        return cls(
            selector=tuple(sorted((document.get("selector") or {}).items())),
            terms=tuple(
                Term(**{name: tuple(map(_expression, content)) for name, content in each.items()})
                for each in document.get("terms") or ()
            ),
            tolerations=tuple(Toleration(**each) for each in document.get("tolerations") or ()),
        )


#: Where nothing is known of a pod: any server may do, and the scheduler has its say.
ANYWHERE = Constraints(tolerations=(Toleration(),))


def whole(value: str | None) -> int | None:
    """A whole number of 64 bits at most, as labels have them; None: it is none."""
    if value is None or not value.isascii() or not value.removeprefix("-").isdecimal() or len(value) > 20:
        return None
    return int(value)


def _expression(given: Mapping[str, Any]) -> Expression:
    return Expression(key=given["key"], operator=given["operator"], values=tuple(given.get("values") or ()))
