"""Which files may hold a secret."""

from __future__ import annotations

import os
import stat

import pytest

from gpuqueue_spawner.service.secret import is_private

ROOT, OURS, OTHERS = 0, 1000, 2000


def file(mode: int, *, owner: int = OURS, group: int = OURS) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_its_owner_alone_reads_is_private(mode: int) -> None:
    assert is_private(file(mode), user=OURS, groups={OURS})


@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_secret_that_a_cluster_gave_to_a_pod_s_group_is_private(mode: int) -> None:
    """The file is root's; the group's right to read comes from `fsGroup`."""
    assert is_private(file(mode, owner=ROOT, group=OURS), user=OURS, groups={0, OURS})


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o604, 0o660, 0o620, 0o650])
def test_whatever_else_is_open_is_not_private(mode: int) -> None:
    """Also where it is root's: others, or a group that may do more than read."""
    assert not is_private(file(mode, owner=ROOT, group=OURS), user=OURS, groups={OURS})


@pytest.mark.parametrize(
    ("owner", "group", "user"),
    [(OURS, OURS, OURS), (ROOT, OTHERS, OURS), (ROOT, ROOT, ROOT)],
    ids=["our own", "a group that is not ours", "we are root"],
)
def test_a_group_reads_only_what_root_gave_to_ours(owner: int, group: int, user: int) -> None:
    """Where the owner can close it, it has to."""
    assert not is_private(file(0o640, owner=owner, group=group), user=user, groups={OURS, ROOT})
