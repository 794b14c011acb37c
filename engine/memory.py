"""How much memory this process holds, and how much of the machine's one batch of prompts may take."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Final

from ..models.errors import SettingsError

BATCH_MEMORY: Final = "SAMCOLLOID_BATCH_MEMORY"
"""Environment variable: MB (1e6 bytes) that one batch may take, instead of ``budget``'s own choice."""
MOST: Final = 160e6
"""Bytes: four prompts of SAM's decoder, more than any batch of the bundled model takes. Sixteen are no quicker (one
takes 14 % longer, or 29 % where few pass the gate)."""
SHARE: Final = 1 / 8
"""Of the memory that is free."""


def budget() -> float:
    """Bytes that one batch of prompts may take; SettingsError where the environment variable says nonsense."""
    given = os.environ.get(BATCH_MEMORY)
    if given is None:
        free = available()
        return MOST if free is None else min(MOST, SHARE * free)
    try:
        megabytes = float(given)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes < float("inf"):
        raise SettingsError(f"{BATCH_MEMORY} must be a number of MB above 0, such as 300, not {given!r}.")
    return megabytes * 1e6


if sys.platform == "win32":

    def _counters() -> Any:
        """What GetProcessMemoryInfo says of this process; None where it does not."""
        from ctypes import wintypes

        names = ("PeakWorkingSetSize", "WorkingSetSize", *(f"unused{i}" for i in range(6)))

        class Counters(ctypes.Structure):
            _fields_ = (("cb", wintypes.DWORD), ("faults", wintypes.DWORD), *((n, ctypes.c_size_t) for n in names))

        kernel, counters = ctypes.WinDLL("kernel32"), Counters(cb=ctypes.sizeof(Counters))
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
        told = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return counters if told else None

    def resident() -> int | None:
        """Bytes of main memory that this process holds; None where that cannot be told."""
        counters = _counters()
        return None if counters is None else int(counters.WorkingSetSize)

    def peak() -> int:
        """Most bytes of main memory that this process has held; 0 where that cannot be told."""
        counters = _counters()
        return 0 if counters is None else int(counters.PeakWorkingSetSize)

    def available() -> int | None:
        """Bytes of main memory that are free (GlobalMemoryStatusEx); None where that cannot be told."""
        from ctypes import wintypes

        names = ("Total", "Available", *(f"unused{i}" for i in range(5)))

        class Status(ctypes.Structure):
            _fields_ = (("length", wintypes.DWORD), ("load", wintypes.DWORD), *((n, ctypes.c_uint64) for n in names))

        status = Status(length=ctypes.sizeof(Status))
        return int(status.Available) if ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)) else None

elif sys.platform == "darwin":

    def resident() -> int | None:
        """Bytes of main memory that this process holds (libproc's rusage_info_v0); None where that cannot be told."""
        try:
            library = ctypes.CDLL("/usr/lib/libproc.dylib")
        except OSError:
            return None
        # ri_uuid takes two of the 64-bit numbers; ri_resident_size is the ninth.
        numbers = (ctypes.c_uint64 * 12)()
        return int(numbers[8]) if library.proc_pid_rusage(os.getpid(), 0, ctypes.byref(numbers)) == 0 else None

    def peak() -> int:
        """Most bytes of main memory that this process has held."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def available() -> int | None:
        """None: macOS has no one figure for what is free."""
        return None

else:

    def resident() -> int | None:
        """Bytes of main memory that this process holds and uses; None where that cannot be told."""
        # glibc keeps what was freed, where a later growth would not be seen; other C libraries have no such function.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        try:
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        except OSError:
            return None
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak() -> int:
        """Most bytes of main memory that this process has held; 0 where that cannot be told."""
        # getrusage keeps the peak of the program that started this one.
        return _kilobytes("/proc/self/status", "VmHWM:") or 0

    def available() -> int | None:
        """Bytes of main memory that are free or quickly made so; None where that cannot be told."""
        return _kilobytes("/proc/meminfo", "MemAvailable:")

    def _kilobytes(file: str, name: str) -> int | None:
        """A line of one of the system's files, in bytes."""
        try:
            lines = Path(file).read_text("utf-8").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
