"""Checks of this machine, where jobs run on it: GPUs, control groups, users, folders, NVIDIA's programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

from ...capacity import CapacityUnavailable, LocalCapacity
from ...capacity.cgroups import usable
from . import settings
from .deployment import Deployment
from .findings import Check, Finding, NotChecked, Place, ok, problem, warning
from .versions import Hole, driver_hole, toolkit_hole

PROGRAM_S = 10.0  # nvidia-smi wakes every GPU first


def gpus(it: Deployment) -> Finding:
    """What the driver tells."""
    capacity = it.capacity
    assert isinstance(capacity, LocalCapacity)
    try:
        found = capacity.read_gpus()
    except CapacityUnavailable as error:
        return problem(error.words, "See what `nvidia-smi` says; the kernel's log (`dmesg`) has the driver's reason.")
    if capacity.simulated_gpus is not None:
        return warning(
            f"{len(found)} simulated GPUs are given out, which no program can use.",
            "Take c.LocalCapacity.simulated_gpus out to give out the machine's own.",
        )
    sick = [f"GPU {each.device.index} {each.broken or each.unfit}" for each in found if each.broken or each.unfit]
    if sick:
        return warning(f"{len(found) - len(sick)} of {len(found)} GPUs can be given out: {'; '.join(sick)}.")
    if not found:
        return warning("This machine has no NVIDIA GPU, or no driver.", "Install the driver, if it has GPUs.")
    models = sorted({each.device.model for each in found})
    return ok(f"{len(found)} GPUs ({', '.join(models)}).")


def cgroups(it: Deployment) -> Finding:
    """Whether nothing of a job can hide."""
    found = usable()
    if found is not None:
        return ok(f"Jobs get control groups under {found.root} (version {found.version}).")
    if os.geteuid() != 0:
        raise NotChecked("only root can tell, as the manager should be")
    return warning(
        "No control groups can be made here: what a job starts is found by its environment only.",
        "In a container, give it a writable /sys/fs/cgroup.",
    )


def users(it: Deployment) -> Finding:
    """Whether people are kept apart."""
    caution = it.capacity.caution()
    if caution:
        return warning(caution, "Run Hub and manager, and this command, as root.")
    return ok("As root, each person's notebooks run under a numeric user of their own.")


def driver(it: Deployment) -> Finding:
    """Holes in what is installed here."""
    versions = {
        "driver": _printed("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "container toolkit": _printed("nvidia-ctk", "--version").removeprefix("NVIDIA Container Toolkit CLI version "),
    }
    present = {name: version for name, version in versions.items() if version}
    if not present:
        raise NotChecked("neither nvidia-smi nor nvidia-ctk is here")
    judges: dict[str, Callable[[str], Hole | None]] = {"driver": driver_hole, "container toolkit": toolkit_hole}
    return holes({f"this machine's {name}": judges[name](version) for name, version in present.items()}, present)


def holes(found: dict[str, Hole | None], present: dict[str, str]) -> Finding:
    """Put what is known of versions into words."""
    open_ones = {what: hole for what, hole in found.items() if hole is not None}
    if not open_ones:
        seen = ", ".join(f"{name} {version}" for name, version in sorted(present.items()))
        return ok(f"Nothing is known against {seen}.")
    words = [f"{what} is {hole.version} ({hole.known})" for what, hole in open_ones.items()]
    steps = sorted({f"Install {hole.mended} or newer." for hole in open_ones.values() if hole.mended})
    if any(not hole.mended for hole in open_ones.values()):
        steps.append("Install a branch that still gets security updates, such as 580.")
    sentence = "; ".join(words)
    return problem(f"Known holes: {sentence}.", *steps)


def _printed(*command: str) -> str:
    """The first line that a program prints; empty: it is not here, or does not say."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


CHECKS = tuple(
    Check(name=name, asks=asks, look=look, place=Place.MACHINE, needs=("manager.settings", *more))
    for name, asks, look, more in (
        ("machine.gpus", "The driver answers, and every GPU can be given out.", gpus, ()),
        ("machine.cgroups", "Control groups can be made, so that nothing of a job is overlooked.", cgroups, ()),
        ("machine.users", "Each person's notebooks run under a user of their own.", users, ()),
        ("machine.homes", "Every notebook can enter its owner's folder.", settings.homes, ("hub.file",)),
        ("machine.driver", "Driver and container toolkit have no known hole.", driver, ()),
    )
)
