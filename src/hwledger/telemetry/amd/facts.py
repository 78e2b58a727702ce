"""What AMD's tools and driver call things: ``data/amd.toml``."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hwledger.shipped import shipped_text
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason

SPELLED: Final = {"kb": "kib", "mb": "mib", "gb": "gib", "tb": "tib"}
"""AMD's tools print 1024s as KB, MB and GB (``// (1024*1024)`` in amdsmi_commands.py)."""


_DEVICE: Final = re.compile(r"(?:0x)?([0-9a-f]{1,8})")


@dataclass(frozen=True, slots=True)
class Row:
    """Where a quantity stands in an output.

    Attributes:
        quantity: what it is.
        at: paths, keys or files, in the order in which they are believed.
        unit: where the output names none.
    """

    quantity: Quantity
    at: tuple[str, ...]
    unit: str


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(shipped_text("hwledger.telemetry", "data/amd.toml"))


@cache
def rows(table: str) -> tuple[Row, ...]:
    """Return one table of names: ``amd_smi``, ``rocm_smi``, ``amdgpu_top`` or ``sysfs``."""
    return tuple(
        Row(Quantity(row["quantity"]), tuple(row["at"]), row.get("unit", "")) for row in _tables()[table]
    )


@cache
def marks() -> dict[int, bool]:
    """Return numbers that stand for no value, and whether they may be one where bytes are meant."""
    return {row["number"]: bool(row.get("not_bytes")) for row in _tables()["mark"]}


def throttle_word(name: str) -> str:
    """Return what a throttler is for people; its own name where it is not known. The longest match wins."""
    low = name.strip().lower()
    fitting = [
        (len(start), row["word"])
        for row in _tables()["throttle"]
        for start in row["at"]
        if low.startswith(start)
    ]
    return str(max(fitting)[1]) if fitting else low[:80]


@cache
def apus() -> frozenset[int]:
    """Return the PCI devices that use the host's memory."""
    return frozenset(device for row in _tables()["apu"] for device in row["device"])


def shares_memory(device: str, memory_bytes: int | None) -> bool | None:
    """Return whether a part uses the host's memory, by its PCI device and its memory; ``None``: not known.

    Less memory than any card has is a carve-out of the host's.

    Args:
        device: PCI device as tools write it, ``0x1586``; empty where it is not told.
        memory_bytes: what it has; ``None`` where it is not told.
    """
    found = _DEVICE.fullmatch(device.strip().lower())
    if found is not None and int(found[1], 16) in apus():
        return True
    if memory_bytes is not None and 0 < memory_bytes < _tables()["least_own_memory"]["bytes"]:
        return True
    return None


def complaint(text: str, source: str, *, alone: bool = False) -> Absent | None:
    """Return why a tool printed something in place of an output; ``None``: no complaint that is known.

    Args:
        text: what was printed.
        source: the tool, where the complaint does not tell which.
        alone: only complaints that no other tool prints.
    """
    low = text[:20_000].lower()
    for row in _tables()["complaint"]:
        if (row.get("alone") or not alone) and any(words in low for words in row["within"]):
            return Absent(Reason(row["reason"]), row["says"], row.get("tool", source))
    return None


@cache
def statuses() -> dict[int, Reason]:
    """Return what the library's statuses mean; those that are left out are not understood."""
    return {code: Reason(row["reason"]) for row in _tables()["status"] for code in row["code"]}
