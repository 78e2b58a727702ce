"""This machine as far as a plan needs it."""

import psutil
import pytest

from hwledger.device.catalogue import find_device
from hwledger.telemetry import machine
from hwledger.telemetry.machine import Machine, this_machine

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL")


def test_without_an_accelerator_the_hosts_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is one device of the memory that the operating system reports."""
    for name in ("_nvidia", "_amd", "_apple"):
        monkeypatch.setattr(machine, name, lambda: iter(()))
    found = this_machine()
    assert 0 < found.host_bytes <= psutil.virtual_memory().total
    assert [device.usable_bytes for device in found.devices] == [found.host_bytes]
    assert "no accelerator found" in found.described


def test_a_drivers_memory_wins_over_the_catalogues() -> None:
    """A known name keeps what the catalogue knows, with the memory that the driver reports."""
    known = machine._known("NVIDIA GeForce RTX 4090", "NVIDIA", 24 << 30, "NVML")
    assert (known.name, known.usable_bytes, known.usable_basis) == (
        find_device("RTX 4090").name,
        24 << 30,
        "measured",
    )
    unknown = machine._known("NVIDIA Something 9000", "NVIDIA", 5 << 30, "NVML")
    assert (unknown.name, unknown.memory_bytes) == ("NVIDIA Something 9000", 5 << 30)
    assert Machine((known, unknown), 1 << 30).described.startswith(
        "RTX 4090, NVIDIA Something 9000 and 1.00 GiB"
    )
