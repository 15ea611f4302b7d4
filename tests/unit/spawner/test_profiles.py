"""What a request asks for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model.pods import pod_constraints
from gpuqueue_spawner.spawner.errors import InvalidOption, SpawnRefused
from gpuqueue_spawner.spawner.profiles import ProfileReader, Wish, read_wish

from .builders import PROFILES, RULES

GPU = "nvidia.com/gpu"


def wish(options: object) -> Wish:
    return read_wish(options, profile_list=PROFILES, rules=RULES)


@pytest.mark.parametrize(
    ("options", "cpus", "memory", "gpus"),
    [
        ({}, 1, 4, {}),
        (None, 1, 4, {}),
        ({"profile": "cpu-only"}, 1, 4, {}),
        ({"profile": "free"}, 2, 8, {GPU: 1}),
        ({"profile": "free", "gpus": "1", "cpus": "2"}, 2, 8, {GPU: 1}),
        (
            {
                "profile": "free",
                "gpus--unlisted-choice": "4",
                "cpus--unlisted-choice": "2.5",
                "memory--unlisted-choice": "9",
            },
            2.5,
            9,
            {GPU: 4},
        ),
        ({"user_options": {"profile": "free"}}, 2, 8, {GPU: 1}),
    ],
)
def test_the_guarantee_counts_else_the_limit(options: Any, cpus: float, memory: int, gpus: dict[str, int]):
    """Default, chosen and free values become resources; a guarantee goes before a limit."""
    resources = wish(options).resources

    assert (resources.cpus, resources.memory, dict(resources.gpus)) == (cpus, memory << 30, gpus)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "dgx"}, "profile is 'dgx'; allowed is one of cpu-only, free."),
        ({"profile": 1}, "profile is 1; allowed is text."),
        ({"profile": ["free"]}, "profile is ['free']; allowed is text."),
        ({"profile": "free", "gpus": "2"}, "GPUs is '2'; allowed is one of 1."),
        ({"profile": "free", "gpus": 0}, "GPUs is 0; allowed is text."),
        ({"profile": "free", "gpus--unlisted-choice": 4}, "GPUs is 4; allowed is text."),
        ({"profile": "free", "gpus--unlisted-choice": ""}, "GPUs is ''; allowed is a number of GPUs."),
        ({"profile": "free", "gpus--unlisted-choice": "0"}, "GPUs is '0'; allowed is a number of GPUs."),
        ({"profile": "free", "gpus--unlisted-choice": "-1"}, "GPUs is '-1'; allowed is a number of GPUs."),
        ({"profile": "free", "gpus--unlisted-choice": "9999\n"}, "GPUs is '9999\\n'; allowed is a number of GPUs."),
        ({"profile": "free", "gpus--unlisted-choice": "9" * 30}, "allowed is a whole number of GPUs."),
        ({"profile": "free", "gpus--unlisted-choice": "1\uff12"}, "allowed is a whole number of GPUs."),
        ({"profile": "free", "cpus--unlisted-choice": "0"}, "CPUs is '0'; allowed is more than 0."),
        ({"profile": "free", "cpus--unlisted-choice": "-2"}, "CPUs is '-2'; allowed is more than 0."),
        ({"profile": "free", "cpus--unlisted-choice": "nan"}, "CPUs is 'nan'; allowed is more than 0."),
        ({"profile": "free", "cpus--unlisted-choice": "1e999"}, "CPUs is '1e999'; allowed is more than 0."),
        ({"profile": "free", "cpus--unlisted-choice": "many"}, "CPUs is 'many'; allowed is a number of CPUs."),
        ({"profile": "free", "memory--unlisted-choice": "x"}, "Memory is 'x'; allowed is an amount of memory."),
        ({"profile": "free", "memory--unlisted-choice": "inf"}, "Memory is 'inf'; allowed is an amount of memory."),
        ({"profile": "free", "gpu": "1"}, "option is 'gpu'; allowed is one of "),
        ({"hours": 1e-300}, "hours is 1e-300; allowed is a number of hours from 0.001, at most 24."),
        ({"hours": "9\n"}, "hours is '9\\n'; allowed is a number of hours from 0.001, at most 24."),
        ({"hours": 0}, "hours is 0; allowed is a number of hours from 0.001, at most 24."),
        ({"hours": -1}, "hours is -1"),
        ({"hours": 25}, "hours is 25"),
        ({"hours": True}, "hours is True"),
        ({"hours": 10**400}, "at most 24."),
        ({"hours": float("nan")}, "hours is nan"),
        ({"hours": [1]}, "hours is [1]"),
        ({"job_name": 3}, "job_name is 3; allowed is text."),
        ({"job_name": "a\x00b"}, "allowed is text without control characters."),
        ({"job_name": "a\u202eb"}, "allowed is text without control characters."),
        ({"job_name": "x" * 256}, "allowed is at most 255 characters, it has 256."),
        ({"job_name": "\u200b\u00a0\u200f"}, "allowed is text that can be seen."),
        ([], "user_options is []; allowed is an object."),
        ({"user_options": 3}, "user_options is 3; allowed is an object."),
    ],
)
def test_bad_input_names_field_value_and_what_is_allowed(options: Any, words: str):
    """Every odd exception of KubeSpawner, and what it lets through, becomes one worded refusal."""
    with pytest.raises(InvalidOption) as refused:
        wish(options)

    assert words in refused.value.jupyterhub_message
    assert 400 <= refused.value.status_code < 500


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.text()))
names = st.sampled_from(["profile", "gpus", "gpus--unlisted-choice", "cpus--unlisted-choice", "hours", "job_name"])


@given(st.dictionaries(names, st.one_of(values, st.sampled_from(["free", "1", "2"]))))
def test_any_options_are_a_wish_or_a_refusal(options: dict[str, Any]):
    """Nothing else is ever raised, and a wish is within the rules."""
    try:
        found = wish(options)
    except SpawnRefused:
        return

    assert 0 < found.lease <= 24 * 3600
    assert len(found.name) <= 255


def test_every_field_that_is_wrong_is_named():
    """Nobody has to send a form once for each mistake in it."""
    with pytest.raises(InvalidOption) as refused:
        wish({"profile": "free", "gpus--unlisted-choice": "x", "hours": "99", "job_name": "a\nb"})

    words = refused.value.jupyterhub_message
    assert [sentence.partition(" is ")[0] for sentence in words.split(". ")] == ["GPUs", "hours", "job_name"]


def test_a_form_is_read_as_the_api_would_send_it():
    """Hours, name and the options of the chosen profile, not those of others."""
    form = {
        "profile": ["free"],
        "profile-option-free--gpus--unlisted-choice": ["3"],
        "profile-option-other--gpus": ["1"],
        "hours": ["2.5"],
        "job_name": [" night run "],
        "_xsrf": ["x"],
    }

    options = ProfileReader.of(PROFILES).parse_form(form)

    assert options == {"profile": "free", "gpus--unlisted-choice": "3", "hours": "2.5", "job_name": " night run "}
    assert (wish(options).lease, wish(options).name) == (9000, "night run")


def test_a_profile_that_cannot_work_is_told_as_the_sites_fault():
    """A wrong configuration is no fault of the user, and no traceback."""
    wrong = [{"display_name": "Wrong", "kubespawner_override": {"mem_limit": "lots"}}]

    with pytest.raises(SpawnRefused) as refused:
        read_wish({}, profile_list=wrong, rules=RULES)

    assert "its configuration is wrong" in refused.value.jupyterhub_message
    assert refused.value.status_code == 500


def test_what_a_profile_adds_to_the_site_s_node_selector_is_that_profile_s_alone():
    """The form asks with all of them, one after the other, and with what belongs to the spawner that will ask next."""
    kinds = {"both": {"gpu": "h100", "zone": "x"}, "one": {"gpu": "a100"}, "none": {}}
    profiles = [
        {"display_name": name, "slug": name, "kubespawner_override": {"cpu_guarantee": 1, "node_selector": labels}}
        for name, labels in kinds.items()
    ]
    site = {"node_selector": {"pool": "gpu"}}

    for name, labels in kinds.items():
        reader = ProfileReader.of(profiles, {"profile": name}, **site)
        reader.resources()
        assert reader.constraints() == pod_constraints({"nodeSelector": {"pool": "gpu", **labels}}), name

    assert site == {"node_selector": {"pool": "gpu"}}
