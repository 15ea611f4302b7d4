"""A public trace as nodes and pods."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.campus import campus

NODES = """sn,cpu_milli,memory_mib,gpu,model
n1,8000,1000,2,T4
n2,4000,1000,0,
"""
PODS = """name,cpu_milli,memory_mib,num_gpu
a,1000,10,1
b,1000,10,2
c,4000,10,0
"""


def test_each_pod_is_bound_where_there_is_room_and_fillers_take_what_is_left(tmp_path: Path) -> None:
    """So that whoever waits for a GPU waits until one of them ends."""
    (tmp_path / "alibaba_gpu_2023_nodes.csv").write_text(NODES)
    (tmp_path / "alibaba_gpu_2023_pods.csv").write_text(PODS)

    found = campus(tmp_path)

    assert [(each.pod.name, each.node, each.runs) for each in found.bound] == [
        ("a", "n1", True),
        ("b", "n1", False),
        ("c", "n2", True),
        ("filler-n1", "n1", True),
    ]
    taken: Counter[str] = Counter()
    for each in found.bound:
        taken[each.node] += each.pod.gpus if each.runs else 0
    assert taken == {"n1": 2, "n2": 0}
    assert [each.pod.name for each in found.pods_with(1)] == ["a", "filler-n1"]
