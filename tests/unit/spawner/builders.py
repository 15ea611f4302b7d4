"""Small profiles and views that show only what a test is about."""

from __future__ import annotations

from typing import Any

from gpuqueue_spawner.model import State
from gpuqueue_spawner.spawner.jobs import JobView
from gpuqueue_spawner.spawner.profiles import Rules

RULES = Rules(default_hours=8, max_hours=24)


def gpus(count: str | int) -> dict[str, Any]:
    """An override that asks for GPUs."""
    return {"extra_resource_limits": {"nvidia.com/gpu": count}}


PROFILES: list[dict[str, Any]] = [
    {"display_name": "CPU only", "kubespawner_override": {"cpu_guarantee": 1, "cpu_limit": 2, "mem_limit": "4G"}},
    {
        "display_name": "Free numbers",
        "slug": "free",
        "profile_options": {
            "gpus": {
                "display_name": "GPUs",
                "choices": {"1": {"display_name": "1", "kubespawner_override": gpus("1")}},
                "unlisted_choice": {
                    "enabled": True,
                    "validation_regex": r"^[1-9]\d*$",
                    "validation_message": "a number of GPUs",
                    "kubespawner_override": gpus("{value}"),
                },
            },
            "cpus": {
                "display_name": "CPUs",
                "choices": {"2": {"display_name": "2", "kubespawner_override": {"cpu_limit": 2}}},
                "unlisted_choice": {"enabled": True, "kubespawner_override": {"cpu_limit": "{value}"}},
            },
            "memory": {
                "display_name": "Memory",
                "choices": {"8": {"display_name": "8", "kubespawner_override": {"mem_limit": "8G"}}},
                "unlisted_choice": {"enabled": True, "kubespawner_override": {"mem_limit": "{value}G"}},
            },
        },
    },
]


def view(**fields: Any) -> JobView:
    """A job that waits."""
    return JobView(**{"id": 7, "key": "k", "state": State.QUEUED, "version": 1, **fields})
