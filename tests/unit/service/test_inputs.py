"""Whatever is sent is understood, or refused with field, value and what is allowed; it never breaks anything."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import Constraints
from gpuqueue_spawner.service import inputs
from gpuqueue_spawner.service.errors import BadInput, fault_of
from gpuqueue_spawner.service.inputs import (
    ActInput,
    ClaimInput,
    EstimateInput,
    ExitedInput,
    FailedInput,
    FormInput,
    Input,
    JobInput,
    LaunchInput,
    ReadyInput,
    StopInput,
    parse,
    read,
    read_message,
)

NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**53, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308]) | st.integers()
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "x" * 300, "\x00", "\u202e", "<b>", "9999\n", "١٢٣", "a/b", "7.1.x"]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


RESOURCES = st.fixed_dictionaries(
    {}, optional={"cpus": NUMBERS, "memory": NUMBERS, "gpus": st.dictionaries(TEXTS, NUMBERS, max_size=2)}
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "user": TEXTS,
    "instance": st.just("0123456789abcdef") | TEXTS,
    "request": st.just("0123456789abcdef") | TEXTS,
    "server": TEXTS,
    "name": TEXTS,
    "profile": TEXTS,
    "resources": RESOURCES,
    "lease": NUMBERS,
    "launch": NUMBERS,
    "message": TEXTS,
    "note": TEXTS,
    "ticket": TEXTS,
    "pid": NUMBERS,
    "started": NUMBERS,
    "version": NUMBERS,
    "constraints": st.fixed_dictionaries(
        {},
        optional={
            "selector": st.dictionaries(TEXTS, TEXTS, max_size=2),
            "terms": st.lists(st.just({"labels": [{"key": "a", "operator": "Exists"}]}) | VALUES, max_size=2),
            "tolerations": st.lists(st.fixed_dictionaries({}, optional={"key": TEXTS, "value": TEXTS}), max_size=2),
        },
    ),
    "options": st.dictionaries(TEXTS, VALUES, max_size=3),
}


AMOUNT = {"cpus": 1, "memory": 1, "gpus": {"nvidia.com/gpu": 1}}
RANDOM = "0123456789abcdef"
DEMAND = {
    "selector": {"pool": "dgx"},
    "terms": [
        {"labels": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]},
        {"fields": [{"key": "metadata.name", "operator": "In", "values": ["dgx2"]}]},
    ],
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "value": "", "effect": "NoSchedule"}],
}
RIGHT: dict[type[Input], dict[str, Any]] = {
    ActInput: {"note": "why"},
    ClaimInput: {"ticket": "1.1.x", "pid": 7, "started": 7},
    EstimateInput: {"resources": AMOUNT, "lease": 60},
    ExitedInput: {"launch": 1, "status": 0},
    FailedInput: {"launch": 1, "message": "it ended"},
    FormInput: {"user": "alice", "choices": [{"key": "a", "resources": AMOUNT, "lease": 60}]},
    JobInput: {"instance": RANDOM, "request": RANDOM, "user": "alice", "resources": AMOUNT, "lease": 60},
    LaunchInput: {"instance": RANDOM, "version": 1},
    ReadyInput: {"launch": 1},
    StopInput: {"instance": RANDOM},
}  #: a body of each that is taken


def nearly(model: type[Input]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies that are right but for a field or two, which hold something of the right kind."""
    change = st.sampled_from([*model.model_fields]).flatmap(
        lambda name: st.tuples(st.just(name), LIKELY.get(name, VALUES))
    )
    return st.lists(change, max_size=2).map(lambda changes: {**RIGHT[model], **dict(changes)})


def bodies(model: type[Input]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of a model: nearly right, or with anything in any field."""
    return nearly(model) | st.dictionaries(st.sampled_from([*model.model_fields, "more"]), VALUES, max_size=5)


@pytest.mark.parametrize("model", RIGHT, ids=lambda model: model.__name__)
def test_a_right_body_is_taken(model: type[Input]) -> None:
    assert read(model, RIGHT[model])


@pytest.mark.parametrize("model", RIGHT, ids=lambda model: model.__name__)
@given(data=st.data())
def test_any_body_is_taken_or_refused_with_what_is_allowed(model: type[Input], data: st.DataObject) -> None:
    body = data.draw(bodies(model))

    try:
        given = read(model, body)
    except BadInput as refusal:
        fault = fault_of(refusal).json()
        assert fault["field"]
        assert fault["allowed"]
        assert len(fault["value"]) <= 80
        json.dumps(fault).encode()
    else:
        _use(given)


def _use(given: Input) -> None:
    """What was taken can be worked with: it is finite, storable, and no wider than its columns."""
    json.dumps(given.model_dump(), allow_nan=False).encode()
    if isinstance(given, JobInput):
        new = given.job()
        assert new.lease > 0
        assert new.user
        assert new.constraints.select("dgx1", {}) in (True, False)
    if isinstance(given, ClaimInput):
        assert given.started < 2**63
    if isinstance(given, FailedInput):
        given.message.encode("utf-8")


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_one_object_or_refused(raw: bytes) -> None:
    with suppress(BadInput):
        assert isinstance(parse(raw), dict)


@given(st.text(max_size=100) | st.binary(max_size=100) | VALUES.map(json.dumps))
def test_any_message_of_a_hub_is_understood_or_refused(message: str | bytes) -> None:
    with suppress(BadInput):
        read_message(message)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": "' + b"\xff" + b'"}',
        b"\xff\xfe{\x00}\x00",
        b"[]",
        b'"text"',
        b"null",
        b"7",
        b"{",
        b"",
        b'{"a": ' + b"[" * 21 + b"]" * 21 + b"}",
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a": ' + b'{"a": ' * 3000 + b"1" + b"}" * 3000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda raw: raw[:16].decode("latin-1"),
)
def test_json_that_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    """Not a number, a number no computer holds, a name twice, other encodings, nesting that ends a process."""
    with pytest.raises(BadInput) as refusal:
        parse(raw)

    assert (refusal.value.field, refusal.value.code) == ("body", "gpuqueue.json")


@pytest.mark.parametrize("levels", [1, 5, inputs.DEEP_MAX])
def test_nesting_that_people_use_is_taken(levels: int) -> None:
    raw = b'{"a": ' * levels + b"1" + b"}" * levels

    assert parse(raw)


@pytest.mark.parametrize(
    ("note", "taken"),
    [
        ("", True),
        ("x" * 1000, True),
        ("\U0001f600" * 1000, True),
        ("Straße <b>, 数学, שלום", True),
        ("x" * 1001, False),
        ("a\nb", False),
        ("a\x00b", False),
        ("a\x1b[31mb", False),
        ("a\x7fb", False),
        ("a\x85b", False),
        ("a\u2028b", False),
        ("a\u202eb", False),
        ("a\u2066b", False),
    ],
    ids=ascii,
)
def test_a_note_is_any_text_that_stays_in_its_line(note: str, taken: bool) -> None:
    """1000 characters of any language; nothing that hides or turns text in a log or a terminal."""
    refused = nullcontext() if taken else pytest.raises(BadInput, match=r"^note is ")

    with refused:
        assert read(ActInput, {"note": note}).note == note


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"resources": {"cpus": "2"}}, "resources.cpus", "a valid number"),
        ({"resources": {"cpus": True}}, "resources.cpus", "a valid number"),
        ({"resources": {"memory": 0.5}}, "resources.memory", "a valid integer"),
        (
            {"resources": {"gpus": {"nvidia.com/gpu": -1}}},
            "resources.gpus.nvidia.com/gpu",
            "greater than or equal to 0",
        ),
        ({"resources": [], "lease": 1}, "resources", "an object"),
        ({"resources": {}, "lease": 0}, "lease", "greater than 0"),
        ({"resources": {}, "more": 1}, "more", "no field of this name"),
        ({}, "resources", "a value, for it must be there"),
    ],
)
def test_a_refusal_names_the_field_with_its_path_and_what_is_allowed(body: Any, field: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read(EstimateInput, body)

    assert (refusal.value.field, refusal.value.allowed) == (field, allowed)


def test_a_text_that_is_too_long_is_measured_in_characters() -> None:
    with pytest.raises(BadInput) as refusal:
        read(ActInput, {"note": "x" * 1001})

    assert refusal.value.allowed == "at most 1000 characters"


def test_words_of_a_failure_are_made_to_fit_rather_than_not_reported() -> None:
    given = read(FailedInput, {"launch": 1, "message": "it said \udc80 " + "x" * 5000})

    assert given.message.startswith("it said ? x")
    assert len(given.message) == inputs.FAILURE_MAX


def test_what_a_job_demands_of_a_node_is_taken_as_it_was_sent() -> None:
    """And is nothing where nothing was sent."""
    job = RIGHT[JobInput]

    demand = read(JobInput, {**job, "constraints": DEMAND}).job().constraints

    assert demand == Constraints.of_document(DEMAND)
    assert demand.select("dgx2", {"pool": "dgx", "zone": "b"})
    assert read(JobInput, job).job().constraints == Constraints()


@pytest.mark.parametrize(
    ("wrong", "field", "allowed"),
    [
        ({"selector": {"pool": 7}}, "constraints.selector.pool", "a valid string"),
        ({"selector": {"": "x"}}, "constraints.selector", "at least 1"),
        ({"terms": [{"labels": [{"key": "a", "operator": "Near"}]}]}, "constraints.terms.0.labels.0.operator", "'In'"),
        ({"terms": [{"labels": [{"operator": "In"}]}]}, "constraints.terms.0.labels.0.key", "it must be there"),
        ({"tolerations": [{"key": "x" * 300}]}, "constraints.tolerations.0.key", "at most 255 characters"),
        ({"tolerations": [{"operator": "Gt"}]}, "constraints.tolerations.0.operator", "'Equal' or 'Exists'"),
        ({"tolerations": [{}] * 101}, "constraints.tolerations", "at most 100"),
        ({"selector": {f"k{n}": "x" * 250 for n in range(100)}}, "constraints", "at most 16 KiB"),
        ({"taints": []}, "constraints.taints", "no field of this name"),
        ([], "constraints", "object"),
    ],
)
def test_a_wrong_demand_is_refused_by_its_field(wrong: Any, field: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(JobInput, {**RIGHT[JobInput], "constraints": wrong})

    fault = fault_of(refused.value).json()
    assert fault["field"].startswith(field)
    assert allowed in fault["allowed"]
