"""What nvidia-smi and the kernel say when there is nothing to tell."""

import re
from functools import cache
from typing import Final

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.nvidia.fields import all_lost, tables
from hwledger.telemetry.nvidia.smi_csv import SOURCE, VENDOR
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

MOST: Final = 64 << 10
"""Error texts are short; a longer text that mentions one is something else."""


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Reason, str], ...]:
    rows = tables()["error"]
    return tuple((re.compile(row["pattern"]), Reason(row["reason"]), row["says"]) for row in rows)


def is_error(text: str) -> bool:
    """Whether a text is one of the messages."""
    return len(text) <= MOST and "|" not in text and any(pattern.search(text) for pattern, *_ in _patterns())


def read_errors(text: str) -> Sample:
    """Return the devices that a message names, each lost or closed to this user, or why there are none."""
    devices: dict[str, DeviceSnapshot] = {}
    failures: list[Absent] = []
    for pattern, reason, says in _patterns():
        for found in pattern.finditer(text[:MOST]):
            why = Absent(reason, says, SOURCE)
            key = pci_key(_whole(found.groupdict().get("address") or ""))
            if key is None:
                failures.append(why)
            else:
                devices[key] = DeviceSnapshot(key, "", VENDOR, readings=all_lost(why), processes=why)
    said = [f"{device.key}: {_why(device)}" for device in devices.values()]
    said += [f"nvidia-smi: {why.detail}" for why in dict.fromkeys(failures)]
    return Sample(
        devices=tuple(devices.values()), troubles=tuple(said), failure=failures[0] if failures else None
    )


def _whole(address: str) -> str:
    """Return an address with its function: the kernel's log leaves it out."""
    return address if "." in address else f"{address}.0"


def _why(device: DeviceSnapshot) -> str:
    return device.processes.detail if isinstance(device.processes, Absent) else ""


FORMATS: Final = (Format("NVIDIA's error messages", is_error, read_errors),)
