"""What a manifest demands of a node, by the rules of the kube-scheduler."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import Constraints, Taint
from gpuqueue_spawner.model.pods import pod_constraints


def affine(*terms: Any, **more: Any) -> Constraints:
    required = {"nodeSelectorTerms": list(terms)}
    return pod_constraints(
        {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}, **more}
    )


def term(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def tolerating(*tolerations: dict[str, Any]) -> Constraints:
    return pod_constraints({"tolerations": list(tolerations)})


def test_a_manifest_without_demands_is_taken_by_every_node_without_taints() -> None:
    """Also one whose parts are there and empty, as a client's models have them."""
    for spec in ({}, {"nodeSelector": None, "affinity": {"nodeAffinity": None}, "tolerations": []}, {"affinity": {}}):
        demand = pod_constraints(spec)

        assert demand == Constraints()
        assert demand.select("dgx1", {})
        assert demand.kept_out_by([Taint(key="t")]) == (Taint(key="t"),)


def test_every_label_of_a_node_selector_must_be_there() -> None:
    demand = pod_constraints({"nodeSelector": {"pool": "dgx", "zone": "a"}})

    assert demand.select("dgx1", {"pool": "dgx", "zone": "a", "other": "x"})
    assert not demand.select("dgx1", {"pool": "dgx"})
    assert not demand.select("dgx1", {"pool": "dgx", "zone": "b"})


@pytest.mark.parametrize(
    ("operator", "values", "matching"),
    [
        ("In", ["5", "7"], {"5"}),
        ("NotIn", ["5", "7"], {"9", "x", None}),
        ("Exists", [], {"5", "9", "x"}),
        ("DoesNotExist", [], {None}),
        ("Gt", ["5"], {"9"}),
        ("Lt", ["9"], {"5"}),
    ],
)
def test_an_expression_is_read_as_the_scheduler_reads_it(
    operator: str, values: list[str], matching: set[str | None]
) -> None:
    """A label that is not there is not in any list; one that is no number is neither more nor less."""
    demand = affine(term("n", operator, *values))

    labels = {value: {} if value is None else {"n": value} for value in ("5", "9", "x", None)}
    assert {value for value, given in labels.items() if demand.select("dgx1", given)} == matching


def test_one_term_has_to_match_and_all_of_it() -> None:
    """And the node selector besides."""
    both = {"matchExpressions": [*term("a", "Exists")["matchExpressions"], *term("b", "Exists")["matchExpressions"]]}
    demand = affine(both, term("c", "Exists"), nodeSelector={"pool": "dgx"})

    assert demand.select("dgx1", {"pool": "dgx", "a": "", "b": ""})
    assert demand.select("dgx1", {"pool": "dgx", "c": ""})
    assert not demand.select("dgx1", {"pool": "dgx", "a": ""})
    assert not demand.select("dgx1", {"c": ""})


def test_a_term_can_name_nodes() -> None:
    """By the node's own name, which no label of the same key stands for."""
    demand = affine({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["dgx2"]}]})

    assert demand.select("dgx2", {})
    assert not demand.select("dgx1", {"metadata.name": "dgx2"})


def test_an_empty_term_matches_no_node() -> None:
    assert not affine({}).select("dgx1", {})
    assert affine({}, term("a", "Exists")).select("dgx1", {"a": ""})


@pytest.mark.parametrize(
    "odd",
    [
        term("a", "Near", "b"),
        term("a", "Gt", "many"),
        term("a", "Gt", "1", "2"),
        term("a", "Lt"),
        {"matchFields": [{"key": "spec.unschedulable", "operator": "In", "values": ["false"]}]},
    ],
)
def test_what_is_not_understood_matches_any_node(odd: dict[str, Any]) -> None:
    """The scheduler has its say; what is understood beside it counts."""
    beside = {**odd, "matchExpressions": [*odd.get("matchExpressions", ()), *term("b", "Exists")["matchExpressions"]]}

    assert affine(odd).select("dgx1", {})
    assert affine(beside).select("dgx1", {"b": ""})
    assert not affine(beside).select("dgx1", {})


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Equal", "value": "v"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}, True),
        ({"key": "k", "operator": "Gt", "value": "3"}, True),
    ],
)
def test_a_taint_is_tolerated_by_key_value_and_effect(toleration: dict[str, Any], covers: bool) -> None:
    """An operator that is not known may tolerate any value."""
    taint = Taint(key="k", value="v", effect="NoSchedule")

    assert tolerating(toleration).kept_out_by([taint]) == (() if covers else (taint,))


def test_each_taint_has_to_be_tolerated() -> None:
    some = [Taint(key="a"), Taint(key="b", effect="NoExecute")]

    assert tolerating({"key": "a", "operator": "Exists"}).kept_out_by(some) == (some[1],)


def test_the_same_demands_in_another_order_are_equal() -> None:
    """So that equal ones are looked at once, and no job is replaced for nothing."""
    a, b = {"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}

    assert tolerating(a, b) == tolerating(b, a, a)
    assert affine(term("x", "In", "1", "2")) == affine(term("x", "In", "2", "1"))
    assert pod_constraints({"nodeSelector": {"a": "1", "b": "2"}}) == pod_constraints(
        {"nodeSelector": {"b": "2", "a": "1"}}
    )


TEXTS = st.text(max_size=5)
EXPRESSIONS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["a", "metadata.name", ""]),
            "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"]),
            "values": st.lists(TEXTS | st.integers().map(str), max_size=2),
        }
    ),
    max_size=3,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.dictionaries(TEXTS, TEXTS, max_size=2),
        "affinity": st.lists(
            st.fixed_dictionaries({}, optional={"matchExpressions": EXPRESSIONS, "matchFields": EXPRESSIONS}),
            max_size=3,
        ).map(
            lambda terms: {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            }
        ),
        "tolerations": st.lists(
            st.fixed_dictionaries(
                {}, optional={"key": TEXTS, "operator": st.sampled_from(["Equal", "Exists", "Lt"]), "value": TEXTS}
            ),
            max_size=3,
        ),
    },
)


@given(SPECS, st.dictionaries(st.sampled_from("ab"), TEXTS))
def test_demands_are_the_same_after_a_journey_as_json(spec: dict[str, Any], labels: dict[str, str]) -> None:
    """To the manager, and to the database and back; whatever stands in them is answered with yes or no."""
    demand = pod_constraints(spec)

    again = Constraints.of_document(json.loads(json.dumps(demand.document())))

    assert again == demand
    assert again.select("dgx1", labels) in (True, False)
