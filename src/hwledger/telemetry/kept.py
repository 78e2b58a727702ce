"""Files of the kernel that are looked at again and again, kept open between the looks."""

import errno
import os
from pathlib import Path
from typing import Final

from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.system import System

_PAGE: Final = 4096
"""What a file of sysfs holds at most; what is longer is read by its path."""
LAST_KEPT: Final = 512
"""Descriptors from this number on are not kept: a process has 1024, and others need theirs."""
_CAN: Final = hasattr(os, "pread")  # Windows has none


class KeptFile:
    """One file of sysfs or procfs, opened once and read from its beginning each time.

    A read at offset 0 makes the kernel write the text anew (Documentation/filesystems/sysfs.rst), for a
    sixth of what opening costs. An open file holds neither the device awake nor its driver loaded: the
    kernel takes a reference for the time of a read alone (Linux 6.13, fs/kernfs/file.c), and answers
    ``ENODEV`` once the device is gone.

    Args:
        system: the machine.
        path: the file.
    """

    __slots__ = ("_handle", "_system", "path")

    def __init__(self, system: System, path: Path) -> None:
        self.path = path
        self._system = system
        self._handle = -1

    def __del__(self) -> None:
        self.close()

    def read(self) -> str | Absent:
        """Return what ``System.read`` does; a file that went while it was open is a lost device's.

        ``ENODEV`` says so even where another is found by the path by now, which the next look reads: a driver
        that was loaded anew. After any other error the file is opened anew at once, which tells why.
        """
        if self._handle < 0:
            return self._opened()
        try:
            data = os.pread(self._handle, _PAGE, 0)
        except OSError as error:
            self.close()
            return self._gone() if error.errno == errno.ENODEV else self._again()
        return data.decode("utf-8", "replace").strip() if len(data) < _PAGE else self._system.read(self.path)

    def close(self) -> None:
        """Let go of the file; it is opened anew where it is read again."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _opened(self) -> str | Absent:
        told = self._system.read(self.path)
        if _CAN and isinstance(told, str):
            try:
                self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return told  # it went just now, or too much is open: the next look says
            if self._handle >= LAST_KEPT:
                self.close()
        return told

    def _again(self) -> str | Absent:
        told = self._opened()
        there = os.path.exists(self.path)  # noqa: PTH110 - no error whatever stands in the way
        return told if there or isinstance(told, str) else self._gone()

    def _gone(self) -> Absent:
        detail = f"{self.path.name} is there no longer: the device or its driver went"
        return Absent(Reason.LOST_DEVICE, detail, str(self.path))
