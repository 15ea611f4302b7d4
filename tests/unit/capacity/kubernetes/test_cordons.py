"""Which nodes the queue closes in the cluster, and which it opens again."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.capacity.kubernetes.cluster import CORDONED_BY, SeenNode, seen_node
from gpuqueue_spawner.capacity.kubernetes.cordons import patches

OURS, OTHERS = "0123456789abcdef", "fedcba9876543210"
CLOSE = {"metadata": {"annotations": {CORDONED_BY: OURS}}, "spec": {"unschedulable": True}}
OPEN = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": False}}


def node(*, cordoned: bool, by: str = "") -> SeenNode:
    """As the API server tells of it."""
    return seen_node(
        {
            "metadata": {"name": "dgx1", "annotations": {CORDONED_BY: by} if by else None},
            "spec": {"unschedulable": True} if cordoned else {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    )


@pytest.mark.parametrize(
    ("is_drained", "cordoned", "by", "change"),
    [
        (True, False, "", CLOSE),
        (True, True, OURS, None),
        (False, True, OURS, OPEN),
        (False, False, "", None),
        (False, True, "", None),
        (True, True, "", None),
        (True, False, OURS, None),
        (False, False, OURS, OPEN),
        (False, True, OTHERS, None),
    ],
    ids=[
        "drained",
        "drained and done",
        "taken back",
        "taken back and done",
        "cordoned by somebody",
        "drained after somebody cordoned it",
        "opened by somebody",
        "opened by somebody, then taken back",
        "cordoned by another installation",
    ],
)
def test_a_node_is_closed_and_opened_once_and_somebody_else_s_word_stands(
    is_drained: bool, cordoned: bool, by: str, change: object
) -> None:
    drained = {"dgx1"} if is_drained else set()

    found = patches([node(cordoned=cordoned, by=by)], drained, instance=OURS)

    assert found == ({} if change is None else {"dgx1": change})
