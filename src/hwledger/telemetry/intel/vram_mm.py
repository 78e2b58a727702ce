"""``vram_mm`` in the debug file system of the xe driver: memory of one tile."""

import re
from typing import Final

from hwledger.telemetry.intel.names import VENDOR
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

Q = Quantity
SOURCE: Final = "xe debugfs"
_LINE: Final = re.compile(r"^\s*(?P<name>size|usage): (?P<value>[0-9]{1,20})\s*$", re.MULTILINE)


def is_vram(text: str) -> bool:
    """Whether a text is that file."""
    return "use_type:" in text and "visible_size:" in text


def read_vram(text: str, gauge: Gauge | None = None) -> Sample:
    """Return the memory of the tile."""
    found = {line["name"]: line["value"] for line in _LINE.finditer(text)}
    gauge = gauge or Gauge(SOURCE)
    readings: dict[Quantity, Reading] = {
        quantity: measured(gauge, quantity, found[name], "B")
        for quantity, name in ((Q.MEMORY_TOTAL, "size"), (Q.MEMORY_USED, "usage"))
        if name in found
    }
    return Sample(devices=(DeviceSnapshot(f"{VENDOR}-0", "", VENDOR, readings=readings),))


FORMATS: Final = (Format("xe vram_mm", is_vram, read_vram),)
