"""Which processes hold memory of a device: NVML's lists, in every layout that drivers have written."""

import ctypes
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from hwledger.telemetry.nvidia.binding import NO_FUNCTION, TOO_SMALL, UNSUPPORTED, Binding
from hwledger.telemetry.nvidia.facts import SOURCE
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import ProcessSnapshot

LAYOUTS: Final = {24: struct.Struct("=I4xQII"), 16: struct.Struct("=I4xQ"), 32: struct.Struct("=I4xQIIQ")}
"""A row of each size: process, memory, instances, protected memory.

16 bytes: the call without a version. 24: versions 2 and 3. 32: version 3 of the drivers 535.43 to 535.86,
which changed its layout and changed it back (XuehaiPan/nvitop#79, #89).
"""
WIDEST: Final = max(LAYOUTS)
VERSIONS: Final = (("_v3", 24), ("_v2", 24), ("", 16))
UNTOUCHED: Final = 0xFF
NOT_AVAILABLE: Final = (1 << 64) - 1
FIRST_ROWS: Final = 64
MOST_ROWS: Final = 1 << 16
MOST_PID: Final = 1 << 22 if sys.platform.startswith("linux") else (1 << 32) - 2
"""The kernel's ``PID_MAX_LIMIT``; other systems use all of their 32 bits."""
KINDS: Final = (("compute", "Compute"), ("graphics", "Graphics"))
MPS_SERVER: Final = "nvidia-cuda-mps-server"
MPS: Final = ("compute", "MPSCompute")


@dataclass(slots=True)
class _Held:
    kinds: list[str]
    memory: int | None
    listed: str


class ProcessLists:
    """Reads the lists of processes of one driver.

    Args:
        binding: the door to NVML, started.
        hidden: why memory is not told where NVML says that it is not available.
    """

    def __init__(self, binding: Binding, hidden: str) -> None:
        self._binding = binding
        self._hidden = hidden
        self._versions = list(VERSIONS)
        self._rows = FIRST_ROWS
        self._buffer = ctypes.create_string_buffer(FIRST_ROWS * WIDEST)

    def read(self, handle: Any, gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
        """Return what runs on a device, each process once, or why that is not known.

        Clients of the multi-process service are in a list of their own, which is only asked for where its
        server runs: each list costs a driver milliseconds.
        """
        found: dict[int, _Held] = {}
        try:
            self._enter(found, handle, *KINDS[0])
            self._enter_other(found, handle, *KINDS[1])
            names = {pid: self._name(pid) for pid in found}
            if any(MPS_SERVER in name for name in names.values()):
                self._enter_other(found, handle, *MPS)
        except self._binding.errors as error:
            return self._binding.failure(error).absent
        except ValueError as error:
            return gauge.absent(Reason.UNPARSED, str(error))
        return tuple(
            ProcessSnapshot(
                pid, names[pid] if pid in names else self._name(pid), self._memory(held.memory, gauge),
                ", ".join(held.kinds),
            )
            for pid, held in found.items()
        )  # fmt: skip

    def _memory(self, size: int | None, gauge: Gauge) -> Reading:
        if size is None:
            return gauge.absent(Reason.UNSUPPORTED, self._hidden)
        return checked(gauge, Quantity.MEMORY_USED, size)

    def _enter_other(self, found: dict[int, _Held], handle: Any, kind: str, name: str) -> None:
        """Enter a list that a device need not have: slices and parts for computing know no graphics."""
        try:
            self._enter(found, handle, kind, name)
        except self._binding.errors as error:
            if self._binding.failure(error).code not in {UNSUPPORTED, NO_FUNCTION}:
                raise

    def _enter(self, found: dict[int, _Held], handle: Any, kind: str, name: str) -> None:
        """Enter one list; a process in two of them holds the same memory in both, twice in one it adds up."""
        for pid, memory in self._list(handle, f"nvmlDeviceGet{name}RunningProcesses"):
            known = found.get(pid)
            if known is None:
                found[pid] = _Held([kind], memory, name)
                continue
            if kind not in known.kinds:
                known.kinds.append(kind)
            if known.memory is not None and memory is not None:
                known.memory = known.memory + memory if known.listed == name else max(known.memory, memory)

    def _list(self, handle: Any, call: str) -> Iterator[tuple[int, int | None]]:
        while True:
            version, size = self._versions[0]
            try:
                function = self._binding.function(f"{call}{version}")
            except self._binding.errors:
                if len(self._versions) == 1 or MPS[1] in call:
                    raise
                del self._versions[0]
                continue
            count = self._fetch(function, handle)
            return iter(_rows(self._buffer.raw, count, size))

    def _fetch(self, function: Any, handle: Any) -> int:
        """Fill the buffer and return the number of rows: one call where it is large enough."""
        for _ in range(4):
            ctypes.memset(self._buffer, UNTOUCHED, len(self._buffer))
            count = ctypes.c_uint(self._rows)
            code = function(handle, ctypes.byref(count), self._buffer)
            if code != TOO_SMALL:
                break
            self._rows = min(MOST_ROWS, max(self._rows, count.value) * 2)
            self._buffer = ctypes.create_string_buffer(self._rows * WIDEST)
        self._binding.check(code)
        return int(count.value)

    def _name(self, pid: int) -> str:
        """Return what the driver calls a process; empty where it does not say."""
        try:
            return str(self._binding.nvml.nvmlSystemGetProcessName(pid))
        except self._binding.errors:
            return ""


def _rows(raw: bytes, count: int, size: int) -> list[tuple[int, int | None]]:
    """Return process and memory of each row.

    Raises:
        ValueError: no layout that is known fits what the driver wrote.
    """
    if not count:
        return []
    if count * WIDEST <= len(raw):
        written = len(raw.rstrip(bytes([UNTOUCHED])))
        for layout in (size, *(other for other in LAYOUTS if other != size)):
            rows = [LAYOUTS[layout].unpack_from(raw, layout * row) for row in range(count)]
            fits = layout * (count - 1) < written <= layout * count
            if fits and all(0 < row[0] <= MOST_PID for row in rows):
                return [(row[0], None if row[1] == NOT_AVAILABLE else row[1]) for row in rows]
    raise ValueError(f"{SOURCE}'s list of {count} processes has a layout that is not known")
