"""What of a pod many may read does not hold the notebook's token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.spawner.errors import LaunchFailed
from gpuqueue_spawner.spawner.tokens import hidden, secret_manifest

TOKEN = "0123456789abcdef"


def pod(*env: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "notebook", "env": [*env]}], **more}}


def test_the_token_is_replaced_by_where_it_is_found() -> None:
    """In every variable that holds it, under one key for each value; the others stay."""
    found = hidden(
        pod(
            {"name": "JUPYTERHUB_API_TOKEN", "value": TOKEN},
            {"name": "JPY_API_TOKEN", "value": TOKEN},
            {"name": "URL", "value": f"https://x/?token={TOKEN}"},
            {"name": "HOME", "value": "/home"},
        ),
        TOKEN,
        secret="s",
    )

    assert found.data == {"JUPYTERHUB_API_TOKEN": TOKEN, "URL": f"https://x/?token={TOKEN}"}
    by_name = {each["name"]: each for each in found.containers["containers"][0]["env"]}
    reference = {"secretKeyRef": {"name": "s", "key": "JUPYTERHUB_API_TOKEN"}}
    assert by_name["JUPYTERHUB_API_TOKEN"] == {"name": "JUPYTERHUB_API_TOKEN", "valueFrom": reference}
    assert by_name["JPY_API_TOKEN"]["valueFrom"] == reference
    assert by_name["HOME"] == {"name": "HOME", "value": "/home"}


def test_init_containers_and_sidecars_are_looked_through_too() -> None:
    """Two variables of one name may have two values."""
    init = [{"name": "stage", "env": [{"name": "T", "value": f"Bearer {TOKEN}"}]}]
    found = hidden(pod({"name": "T", "value": TOKEN}, initContainers=init), TOKEN, secret="s")

    assert found.data == {"T": f"Bearer {TOKEN}", "T-2": TOKEN}
    assert TOKEN not in json.dumps(dict(found.containers))


def test_a_token_elsewhere_in_the_pod_starts_nothing() -> None:
    """In an argument it would be open to all; the words do not repeat it."""
    with pytest.raises(LaunchFailed, match="outside of its environment") as error:
        hidden(pod(hostname=f"x-{TOKEN}"), TOKEN, secret="s")
    assert TOKEN not in str(error.value)


@given(st.dictionaries(st.text("ABC", min_size=1), st.text(max_size=3).map(lambda text: text + TOKEN), min_size=1))
def test_every_value_is_found_again_under_its_key(values: dict[str, str]) -> None:
    """Nothing is lost and nothing is mixed up."""
    found = hidden(pod(*({"name": name, "value": value} for name, value in values.items())), TOKEN, secret="s")

    env = found.containers["containers"][0]["env"]
    assert {each["name"]: found.data[each["valueFrom"]["secretKeyRef"]["key"]] for each in env} == values


def test_without_a_token_nothing_changes() -> None:
    """As of a spawner that was never asked for one."""
    it = pod({"name": "EMPTY", "value": ""})
    assert hidden(it, "", secret="s").containers == {"containers": it["spec"]["containers"]}


def test_the_secret_goes_with_its_pod() -> None:
    """By its owner, named by its uid: a later pod of that name is another one."""
    made = secret_manifest("s", {"T": TOKEN}, owner={"name": "p", "uid": "1-2"}, labels={"a": "b"})

    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "p", "1-2")
    assert made["stringData"] == {"T": TOKEN}
