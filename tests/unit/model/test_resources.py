"""Amounts add up, compare and refuse what nobody can mean."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU, InvalidResources

amounts = st.builds(
    Resources,
    cpus=st.integers(0, 512).map(lambda halves: halves / 2),
    memory=st.integers(0, 2**45),
    gpus=st.dictionaries(st.sampled_from([NVIDIA_GPU, "amd.com/gpu", "nvidia.com/mig-1g.10gb"]), st.integers(0, 16)),
    others=st.dictionaries(st.sampled_from(["rdma/ib", "pods"]), st.integers(0, 16)),
)


@given(amounts, amounts, amounts)
def test_sums_do_not_depend_on_the_order(a, b, c):
    """Addition is commutative and associative, and nothing is its zero."""
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Resources() == a


@given(amounts, amounts)
def test_a_part_fits_in_the_whole(a, b):
    """What was added to something fits in the sum."""
    assert a.fits_in(a + b)
    assert (a + b).gpu_count == a.gpu_count + b.gpu_count


@given(amounts, amounts)
def test_what_is_beyond_another_is_what_it_lacks_to_hold_it(a, b):
    """Nothing, where it fits already; with it, it fits."""
    assert a.fits_in(b + a.beyond(b))
    assert (a.beyond(b) == Resources()) == a.fits_in(b)
    assert (a + b).beyond(b) == a


@given(amounts, amounts)
def test_two_that_fit_in_each_other_are_equal(a, b):
    """Fitting is an order: only equal amounts fit both ways, and equal amounts have one hash."""
    if a.fits_in(b) and b.fits_in(a):
        assert a == b
        assert hash(a) == hash(b)


@given(amounts)
def test_copies_are_equal(resources):
    """A copy through pickle, or a deep one, is the same amount."""
    assert resources == pickle.loads(pickle.dumps(resources))  # noqa: S301  # our own bytes
    assert resources == copy.deepcopy(resources)


def test_no_gpus_of_a_kind_is_the_same_as_not_naming_it():
    """Zero amounts are dropped, and the order of the names does not matter."""
    assert Resources(gpus={NVIDIA_GPU: 0}) == Resources()
    assert Resources(gpus={"b": 1, "a": 2}) == Resources(gpus={"a": 2, "b": 1})


def test_amounts_cannot_be_changed():
    """A record that others hold stays what it was, also if the mapping it was made from changes."""
    named = {NVIDIA_GPU: 2}
    resources = Resources(gpus=named)

    named[NVIDIA_GPU] = 8

    assert resources.gpus[NVIDIA_GPU] == 2
    with pytest.raises(TypeError):
        resources.gpus[NVIDIA_GPU] = 8


@pytest.mark.parametrize("short", [{"cpus": 3}, {"memory": 9}, {"gpus": {NVIDIA_GPU: 1}}, {"gpus": {}}], ids=str)
def test_one_amount_that_is_short_is_enough_not_to_fit(short):
    """Everything has to be there at once."""
    need = {"cpus": 4, "memory": 10, "gpus": {NVIDIA_GPU: 2}}

    assert not Resources(**need).fits_in(Resources(**{**need, **short}))


@pytest.mark.parametrize("cpus", [-1, math.inf, math.nan, True, "4", None], ids=repr)
def test_cpus_that_are_no_amount_are_refused(cpus):
    """The refusal names the field, the value and what is allowed."""
    with pytest.raises(InvalidResources) as refusal:
        Resources(cpus=cpus)

    assert str(refusal.value) == f"cpus is {cpus!r}; allowed is a number of cores, 0 or more"
    assert (refusal.value.field, refusal.value.allowed) == ("cpus", "a number of cores, 0 or more")


@pytest.mark.parametrize("memory", [-1, 0.5, math.inf, True, "1G"], ids=repr)
def test_memory_that_is_no_amount_is_refused(memory):
    """Memory is a whole number of bytes."""
    with pytest.raises(InvalidResources) as refusal:
        Resources(memory=memory)

    assert str(refusal.value) == f"memory is {memory!r}; allowed is a whole number of bytes, 0 or more"


@pytest.mark.parametrize("count", [-1, 0.5, 1.0, True, "2"], ids=repr)
def test_gpus_that_are_no_count_are_refused(count):
    """The field is the resource name, so that the form can mark the right one."""
    with pytest.raises(InvalidResources) as refusal:
        Resources(gpus={"amd.com/gpu": count})

    assert str(refusal.value) == f"amd.com/gpu is {count!r}; allowed is a whole number of GPUs, 0 or more"
