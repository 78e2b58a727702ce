"""Forms of xpu-smi's outputs that people post: lists, tiles, dumps with their command."""

import pytest

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, bytes_of, number_of
from hwledger.telemetry.recorded import read_recorded

pytestmark = pytest.mark.requirement("FR-TEL-INTEL")
Q = Quantity
LIST = """$ xpu-smi discovery
| Device ID | Device Information                       |
+-----------+------------------------------------------+
| 0         | Device Name: Test iGPU                   |
|           | PCI BDF Address: 0000:00:02.0            |
+-----------+------------------------------------------+
| 3         | Device Name: Test Card                   |
|           | PCI BDF Address: 0000:0b:00.0            |
|           | PCIe Generation: -1                      |
+-----------+------------------------------------------+
"""
TILED = """
| Device ID                   | 2                              |
| GPU Utilization (%)         | Tile 0: 5, Tile 1: 12          |
| GPU Power (W)               | 140                            |
| GPU Core Temperature (C)    | Tile 0: 35, Tile 1:            |
| GPU Memory Used (MiB)       | Tile 0: 24, Tile 1: 26         |
"""


def test_a_list_holds_every_device() -> None:
    """Each device has its own rows; -1 is no generation."""
    first, second = read_recorded(LIST)[1].devices
    assert (first.key, first.index, first.name) == ("0000:00:02.0", 0, "Test iGPU")
    assert (second.key, second.index, second.name) == ("0000:0b:00.0", 3, "Test Card")
    unknown = second[Q.PCIE_GENERATION_MAX]
    assert isinstance(unknown, Absent)
    assert unknown.reason is Reason.UNSUPPORTED


def test_values_of_tiles_are_those_of_tiles() -> None:
    """A device of several tiles has what is told of it as a whole; its tiles have the rest."""
    device, zero, one = read_recorded(TILED)[1].devices
    assert (device.key, number_of(device[Q.POWER])) == ("Intel-2", 140)
    assert Q.UTILIZATION not in device.readings
    assert [each.parent for each in (zero, one)] == ["Intel-2"] * 2
    assert [number_of(each[Q.UTILIZATION]) for each in (zero, one)] == [0.05, 0.12]
    assert [bytes_of(each[Q.MEMORY_USED]) for each in (zero, one)] == [24 << 20, 26 << 20]
    blank = one[Q.TEMPERATURE]
    assert isinstance(blank, Absent)
    assert blank.reason is Reason.UNSUPPORTED


def test_a_command_above_a_dump_is_passed_over() -> None:
    """What was copied with a dump is no head of it."""
    text = "$ xpu-smi dump -d 0 -m 1\n\nTimestamp, DeviceId, GPU Power (W)\n01:02:03.000,    0, 21.5\n"
    (device,) = read_recorded(text)[1].devices
    assert number_of(device[Q.POWER]) == 21.5
