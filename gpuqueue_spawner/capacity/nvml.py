"""NVIDIA GPUs of this machine and the processes that use them, through NVML.

Knows the driver's library. What its reports mean for the queue: devices.py.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynvml

from ..model import Device
from .base import CapacityUnavailable
from .devices import Gpu

log = logging.getLogger("gpuqueue")

WAIT_S = 2.0  # for somebody else's question to end; a sound driver takes milliseconds
MIG = "has MIG enabled; the queue gives out whole GPUs only"

# Older drivers lack the latest form of a call; some systems have no graphics or MPS at all.
_COMPUTE = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
_GRAPHICS = ("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2")
_MPS = ("nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2")
_ABSENT = (pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NotSupported)


class NvmlReader:
    """Asks the driver. Holds the library open between calls: without that, each call may start the GPUs anew."""

    def __init__(self) -> None:
        self.installed = False  #: whether the driver's library was there at the last call
        self._open = False
        self._seen: dict[str, Device] = {}
        self._complained: dict[int, str] = {}
        self._asking = threading.Lock()
        self._since = 0.0

    def read(self) -> tuple[Gpu, ...]:
        """Every GPU, by index; none where no driver is installed.

        A sick driver may not answer for minutes, or never. Only one question is under way at a time, so that whoever
        asks again meanwhile gets an answer soon.

        :raises CapacityUnavailable: the driver is there and does not answer, or says that it cannot.
        """
        if not self._asking.acquire(timeout=WAIT_S):
            seconds = time.monotonic() - self._since
            raise CapacityUnavailable(f"The NVIDIA driver has not answered for {seconds:.0f} seconds.")
        try:
            self._since = time.monotonic()
            return self._read()
        except pynvml.NVMLError as error:
            self._close()  # the next call starts anew: the driver may have been loaded again
            raise CapacityUnavailable(f"The NVIDIA driver does not work: {error}.") from error
        finally:
            self._asking.release()

    def _read(self) -> tuple[Gpu, ...]:
        if not self._open:
            try:
                pynvml.nvmlInit()
            except pynvml.NVMLError_LibraryNotFound:
                self.installed = False
                if self._seen:
                    raise
                return ()
            self.installed = self._open = True
        silent: dict[int, str] = {}
        found = [gpu for index in range(pynvml.nvmlDeviceGetCount()) if (gpu := _gpu(index, silent)) is not None]
        ids = {gpu.device.id for gpu in found}
        lost = [device for id, device in self._seen.items() if id not in ids]
        self._seen.update({gpu.device.id: gpu.device for gpu in found})
        self._complain({index: words for index, words in silent.items() if index not in {one.index for one in lost}})
        return tuple(sorted((*found, *(_lost(one, silent) for one in lost)), key=lambda gpu: gpu.device.index))

    def _complain(self, silent: dict[int, str]) -> None:
        """A GPU that never told its name cannot be shown; it is at least logged, once."""
        if silent and silent != self._complained:
            words = ", ".join(f"GPU {index}: {why}" for index, why in silent.items())
            log.error("left out, as they do not even tell their ids: %s", words)
        self._complained = silent

    def _close(self) -> None:
        if self._open:
            self._open = False
            with suppress(pynvml.NVMLError):  # it is what does not work
                pynvml.nvmlShutdown()


def _gpu(index: int, silent: dict[int, str]) -> Gpu | None:
    """One GPU; None for one that does not even tell its id, with the reason in `silent`."""
    device = None
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        device = Device(
            id=_text(pynvml.nvmlDeviceGetUUID(handle)), index=index, model=_text(pynvml.nvmlDeviceGetName(handle))
        )
        if _mig(handle):
            return Gpu(device=device, unfit=MIG)
        return Gpu(device=device, pids=_computing(handle), drawing=_drawing(handle))
    except (pynvml.NVMLError_Uninitialized, pynvml.NVMLError_DriverNotLoaded):
        raise  # it is not this GPU alone
    except pynvml.NVMLError as error:
        if device is not None:
            return Gpu(device=device, broken=f"does not answer: {error}")
        silent[index] = str(error)
        return None


def _lost(device: Device, silent: dict[int, str]) -> Gpu:
    """One that told its name before. It stays listed until the manager starts anew: a job may still hold it."""
    return Gpu(device=device, broken=f"does not answer: {silent.get(device.index, 'the driver no longer lists it')}")


def _mig(handle: Any) -> bool:
    """Whether the GPU is divided, or will be after its next reset."""
    try:
        return pynvml.NVML_DEVICE_MIG_ENABLE in pynvml.nvmlDeviceGetMigMode(handle)
    except _ABSENT:
        return False


def _computing(handle: Any) -> tuple[int, ...]:
    compute = _call(_COMPUTE, handle)
    if compute is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)  # whether it is free cannot be known
    return tuple(sorted({int(process.pid) for process in (*compute, *(_call(_MPS, handle) or ()))}))


def _drawing(handle: Any) -> tuple[int, ...]:
    return tuple(sorted({int(process.pid) for process in _call(_GRAPHICS, handle) or ()}))


def _call(names: tuple[str, ...], handle: Any) -> list[Any] | None:
    """The answer to the first of these calls that the driver knows; None: it knows none."""
    for name in names:
        question: Callable[[Any], list[Any]] | None = getattr(pynvml, name, None)
        try:
            if question is not None:
                return question(handle)
        except _ABSENT:
            continue
    return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
