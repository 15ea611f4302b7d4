"""NVIDIA GPUs of this machine and the processes that use them, through NVML.

Knows the driver's library. What its reports mean for the queue: devices.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynvml

from ..model import Device
from .base import CapacityUnavailable
from .devices import Gpu

MIG = "MIG is enabled; this queue gives out whole GPUs only"

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
        self._seen: dict[int, Device] = {}
        self._asking = threading.Lock()
        self._since = 0.0

    def read(self) -> tuple[Gpu, ...]:
        """Every GPU, by index; none where no driver is installed.

        A sick driver may not answer for minutes, or never. Only one question is under way at a time, so that a caller
        who asks again piles up no threads.

        :raises CapacityUnavailable: the driver is there and does not answer, or says that it cannot.
        """
        if not self._asking.acquire(blocking=False):
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
        found = [self._gpu(index) for index in range(pynvml.nvmlDeviceGetCount())]
        gone = [device for index, device in sorted(self._seen.items()) if index >= len(found)]
        return (*filter(None, found), *(_lost(device, "the driver no longer lists it") for device in gone))

    def _close(self) -> None:
        if self._open:
            self._open = False
            with suppress(pynvml.NVMLError):  # it is what does not work
                pynvml.nvmlShutdown()

    def _gpu(self, index: int) -> Gpu | None:
        """One GPU; None for one that cannot tell its name and never could."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            device = Device(
                id=_text(pynvml.nvmlDeviceGetUUID(handle)), index=index, model=_text(pynvml.nvmlDeviceGetName(handle))
            )
            self._seen[index] = device
            unfit = MIG if _mig(handle) else ""
            return Gpu(device=device, unfit=unfit, pids=() if unfit else _pids(handle))
        except (pynvml.NVMLError_Uninitialized, pynvml.NVMLError_DriverNotLoaded):
            raise  # it is not this GPU alone
        except pynvml.NVMLError as error:
            known = self._seen.get(index)
            return _lost(known, str(error)) if known else None


def _lost(device: Device, words: str) -> Gpu:
    return Gpu(device=device, broken=f"it does not answer: {words}")


def _mig(handle: Any) -> bool:
    """Whether the GPU is divided, or will be after its next reset."""
    try:
        return pynvml.NVML_DEVICE_MIG_ENABLE in pynvml.nvmlDeviceGetMigMode(handle)
    except _ABSENT:
        return False


def _pids(handle: Any) -> tuple[int, ...]:
    compute = _call(_COMPUTE, handle)
    if compute is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)  # whether it is free cannot be known
    others = (*(_call(_GRAPHICS, handle) or ()), *(_call(_MPS, handle) or ()))
    return tuple(sorted({int(process.pid) for process in (*compute, *others)}))


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
