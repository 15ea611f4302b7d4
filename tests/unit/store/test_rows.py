"""A job survives the way into a row and back, whatever is in it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import End, Job, Placement, Resources, State
from gpuqueue_spawner.store import Unstorable
from gpuqueue_spawner.store.rows import job_of, row_of
from gpuqueue_spawner.store.tables import jobs

names = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=40)
times = st.floats(0, 4e9)
counts = st.integers(0, 2**62)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
placements = st.builds(Placement, node=names.filter(bool), devices=st.lists(names.filter(bool)).map(tuple))
resources = st.builds(
    Resources,
    cpus=st.floats(0, 1e6),
    memory=counts,
    **dict.fromkeys(("gpus", "others"), st.dictionaries(names, st.integers(0, 99))),
)
anything = st.builds(
    Job,
    **dict.fromkeys(("user", "server", "request", "name", "profile", "key", "message", "by"), names),
    **dict.fromkeys(("lease", "submitted", "queued", "not_before", "extended"), times),
    **dict.fromkeys(("id", "version", "launch", "failures"), counts),
    **{name: st.none() | times for name in ("admitted", "started", "ends", "warned", "ended")},
    **{name: st.none() | counts for name in ("uid", "pid", "pid_started")},
    resources=resources,
    options=st.dictionaries(st.text(), documents, max_size=4),
    state=st.sampled_from(State),
    end=st.none() | st.sampled_from(End),
    placement=st.none() | placements,
    failed_on=st.lists(names, max_size=3).map(tuple),
)


@given(anything)
def test_job_is_the_same_after_the_way_into_a_row_and_back(job: Job) -> None:
    """Every field of every job."""
    assert job_of(row_of(job) | {"id": job.id}) == job


def test_every_field_of_a_job_has_its_columns() -> None:
    """A field that is added to the record is missed here before it is missed in production."""
    inside = {"resources": {"cpus", "memory", "gpus", "others"}, "placement": {"node", "devices"}}
    columns = set().union(*(inside.get(field.name, {field.name}) for field in fields(Job)))

    assert {column.key for column in jobs.columns} - {"open"} == columns


@given(anything)
def test_row_is_pure_ascii_where_it_is_json_and_marks_what_is_open(job: Job) -> None:
    """JSON needs nothing of a database; `open` is 1 or nothing."""
    row = row_of(job)

    for name in ("gpus", "options"):
        assert row[name].isascii()
        assert isinstance(json.loads(row[name]), dict)
    assert row["open"] == (None if job.state is State.ENDED else 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"placement": Placement(node="")},
        {"placement": Placement(node="n", devices=("",))},
        {"placement": Placement(node="n", devices=("a\x00",))},
        {"launch": 2**63},
        {"pid": 1.5},
        {"ended": float("nan")},
        {"version": -(2**63)},
    ],
)
def test_value_that_no_database_keeps_is_refused(fields: dict[str, Any]) -> None:
    """Also in the fields that only our own code sets."""
    job = Job(
        **{
            **{"id": 1, "key": "k", "user": "u", "server": "", "request": "r", "resources": Resources(), "lease": 1.0},
            **{"state": State.QUEUED, "version": 1, "submitted": 1.0, "queued": 1.0, **fields},
        }
    )
    with pytest.raises(Unstorable):
        row_of(job)
