"""GPUs through the real pynvml, on a stand-in for the driver's library and, where there is one, on the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.capacity import LocalCapacity
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from tests import nvml

from .conftest import Installation, eventually


class Looker:
    """A process that looks at a machine with a made-up driver."""

    def __init__(self, library: Path | None, state: Path, instance: str) -> None:
        self.state = state
        environment = {**os.environ, "FAKE_NVML": str(state), "LD_LIBRARY_PATH": str(library or "")}
        script = Path(nvml.__file__).with_name("look.py")
        self.process = subprocess.Popen(
            [sys.executable, script, instance], env=environment, stdin=-1, stdout=-1, text=True
        )

    def hardware(self, *lines: str) -> None:
        """What the driver says from now on."""
        new = self.state.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.state)

    def tell(self, line: str) -> None:
        """Give the process a line."""
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def look(self) -> dict[str, Any]:
        """Look once."""
        self.tell("look")
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        assert isinstance(told, dict)
        return told

    def foreign(self) -> list[str]:
        """Why each GPU may not be given out."""
        return [device[3] for device in self.look()["devices"]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled stand-in."""
    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def start(tmp_path: Path, plain: Installation) -> Iterator[Callable[[Path | None], Looker]]:
    """Starts a process that looks; it is ended after the test."""
    started: list[Looker] = []

    def begin(library: Path | None) -> Looker:
        started.append(Looker(library, tmp_path / "hardware", plain.instance))
        return started[-1]

    yield begin
    for looker in started:
        looker.process.kill()
        looker.process.communicate()


@pytest.fixture
def looker(start: Callable[[Path | None], Looker], library: Path) -> Looker:
    """A machine with the stand-in's driver, and three GPUs."""
    found = start(library)
    found.hardware(*(f"gpu uuid=GPU-{index} name=V100" for index in range(3)))
    return found


def test_eight_gpus_are_listed_by_index(looker: Looker) -> None:
    """Ids and models are the driver's own."""
    looker.hardware(*(f"gpu uuid=GPU-0{index} name=Tesla_V100" for index in range(8)))

    told = looker.look()

    assert told["devices"] == [[f"GPU-0{index}", index, "Tesla_V100", ""] for index in range(8)]
    assert told["gpus"] == 8
    assert told["about"] == "8 GPUs (Tesla_V100)"


@pytest.mark.parametrize("how", ["compute", "graphics", "mps"])
@pytest.mark.parametrize("driver", ["", "old=1"])
def test_a_strangers_gpu_is_not_free_until_it_is_left(
    looker: Looker, plain: Installation, how: str, driver: str
) -> None:
    """Who uses it is named; every way of using one counts, and drivers of before 510 are asked as they understand."""
    program = plain.run("SLEEP; exit")
    looker.hardware("gpu uuid=GPU-0 name=V100", f"gpu uuid=GPU-1 name=V100 {how}={program.pid}", driver)

    assert looker.foreign() == ["", f"pid {program.pid} (sh, uid {os.getuid()}) uses it"]

    looker.hardware("gpu uuid=GPU-0 name=V100", "gpu uuid=GPU-1 name=V100", driver)
    assert looker.foreign() == ["", ""]


def test_a_jobs_own_gpu_is_not_in_foreign_hands(looker: Looker, plain: Installation) -> None:
    """Also used by a child; another GPU used by the job is one that nobody else can get."""
    plain.launch("k1", "SLEEP; exit", gpus="GPU-1")
    eventually(lambda: "sleep" in plain.commands("k1"))
    parent, child = (process.pid for process in plain.found("k1"))
    looker.hardware(
        "gpu uuid=GPU-0 name=V100",
        f"gpu uuid=GPU-1 name=V100 compute={parent},{child}",
        f"gpu uuid=GPU-2 name=V100 compute={child}",
    )

    own, given, other = looker.foreign()

    assert (own, given) == ("", "")
    assert other == f"pid {child} (sleep, uid {os.getuid()}) of a job that was not given it uses it"


def test_a_process_that_is_not_seen_from_here_keeps_a_gpu(looker: Looker) -> None:
    """In a container the driver may name processes that /proc does not."""
    looker.hardware("gpu uuid=GPU-0 name=V100 compute=4194303")

    assert looker.foreign() == ["pid 4194303 (not visible from here) uses it"]


def test_a_lost_gpu_stays_listed_and_is_not_given_out(looker: Looker) -> None:
    """A job may hold it; the others go on."""
    looker.look()
    looker.hardware("gpu uuid=GPU-0 name=V100", "gpu uuid=GPU-1 name=V100 lost=1", "gpu uuid=GPU-2 name=V100")

    told = looker.look()

    assert [device[0] for device in told["devices"]] == ["GPU-0", "GPU-1", "GPU-2"]
    assert [device[3] for device in told["devices"]] == ["", "does not answer: GPU is lost", ""]


def test_a_gpu_that_fell_off_the_bus_stays_listed_once(looker: Looker) -> None:
    """The driver counts the others anew; ids tell which one is missing, and it may come back."""
    looker.look()
    looker.hardware("gpu uuid=GPU-0 name=V100", "gpu uuid=GPU-2 name=V100")

    told = looker.look()

    assert sorted(device[0] for device in told["devices"]) == ["GPU-0", "GPU-1", "GPU-2"]
    assert {device[0]: device[3] for device in told["devices"]} == {
        "GPU-0": "",
        "GPU-1": "does not answer: the driver no longer lists it",
        "GPU-2": "",
    }
    looker.hardware(*(f"gpu uuid=GPU-{index} name=V100" for index in range(3)))
    assert looker.foreign() == ["", "", ""]


def test_a_gpu_lost_from_the_start_is_left_out(looker: Looker) -> None:
    """It cannot be named, so it cannot be promised."""
    looker.hardware("gpu uuid=GPU-0 name=V100 lost=1", "gpu uuid=GPU-1 name=V100")

    told = looker.look()

    assert told["devices"] == [["GPU-1", 1, "V100", ""]]
    assert told["gpus"] == 1


def test_a_gpu_that_cannot_tell_its_users_is_not_given_out(looker: Looker) -> None:
    """Whether it is free is not known."""
    looker.hardware("gpu uuid=GPU-0 name=V100 error=999", "gpu uuid=GPU-1 name=V100")

    assert looker.foreign() == ["does not answer: Unknown Error", ""]


def test_a_divided_gpu_is_not_promised_as_a_whole_one(looker: Looker) -> None:
    """With MIG enabled it is listed with the reason, and not counted."""
    looker.hardware("gpu uuid=GPU-0 name=A100 mig=1", "gpu uuid=GPU-1 name=A100")

    told = looker.look()

    assert [device[3] for device in told["devices"]] == ["has MIG enabled; the queue gives out whole GPUs only", ""]
    assert told["gpus"] == 1


def test_a_driver_that_is_not_loaded_is_no_machine_without_gpus(looker: Looker) -> None:
    """After an upgrade of the kernel, say: waiting requests are kept until it is loaded, not refused for ever."""
    looker.hardware("init=9")
    assert looker.look() == {"unavailable": "The NVIDIA driver does not work: Driver Not Loaded."}

    looker.hardware("gpu uuid=GPU-0 name=V100")
    assert looker.foreign() == [""]


def test_a_driver_that_is_unloaded_while_in_use_is_told(looker: Looker) -> None:
    """GPUs that were there are not taken for gone."""
    looker.look()

    looker.hardware("init=9")

    assert [looker.look(), looker.look()] == [
        {"unavailable": "The NVIDIA driver does not work: Uninitialized."},
        {"unavailable": "The NVIDIA driver does not work: Driver Not Loaded."},
    ]


def test_without_a_driver_there_are_no_gpus(start: Callable[[Path | None], Looker], tmp_path: Path) -> None:
    """A machine for CPU jobs only is one too; what it says of itself names the reason."""
    told = start(tmp_path).look()

    assert told == {"devices": [], "gpus": 0, "about": "no GPUs: no NVIDIA driver is installed"}


def test_a_driver_that_does_not_answer_holds_up_one_caller_only(looker: Looker) -> None:
    """Who asks while somebody still waits is told so after two seconds, rather than to wait as well."""
    looker.look()
    looker.hardware("gpu uuid=GPU-0 name=V100", "delay_ms=1500")

    looker.tell("stuck")
    told = looker.look()

    assert told["unavailable"].startswith("The NVIDIA driver has not answered for ")


@pytest.mark.gpu
def test_a_real_gpu_is_listed() -> None:
    """What the stand-in imitates: ids, names and processes of the real driver."""
    machine = LocalCapacity(instance="test")

    (node,) = machine.look().nodes

    assert node.devices
    assert all(device.id.startswith("GPU-") and device.model for device in node.devices)
    assert 0 < node.allocatable.gpus[NVIDIA_GPU] <= len(node.devices)
    assert "NVIDIA" in machine.about() or "GPU" in machine.about()
