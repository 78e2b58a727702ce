"""The page of ``macmon serve``."""

import re
from typing import Final

from hwledger.library.serving.metrics import read_page
from hwledger.telemetry.apple.names import KEY, SCALED, VENDOR, told
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

SOURCE: Final = "macmon"
_PREFIX: Final = "macmon_"
_IS: Final = re.compile(r"^macmon_[a-z_]+(?:\{| )", re.MULTILINE)


def is_page(text: str) -> bool:
    """Whether a page is macmon's."""
    return _IS.search(text) is not None


def read_macmon_page(text: str) -> Sample:
    """Return the GPU and the host of a page."""
    page = read_page(text)
    found = {row.name.removeprefix(_PREFIX): row.value for row in page.series if row.name.startswith(_PREFIX)}
    chip = next((row.labels["chip"] for row in page.series if row.labels.get("chip")), "")
    gauge = Gauge(SOURCE)
    readings = told("macmon_page", found.get, gauge)
    scaled = "gpu_active_ratio" not in found and Quantity.UTILIZATION in readings
    device = DeviceSnapshot(
        KEY, chip[:80], VENDOR, index=0, unified=True, readings=readings, notes=(SCALED,) if scaled else ()
    )
    host = HostSnapshot(chip[:80], readings=told("macmon_page_host", found.get, gauge))
    damaged = (f"macmon: {page.damaged} lines are damaged and left out",) if page.damaged else ()
    return Sample(devices=(device,), host=host, troubles=damaged)


FORMATS: Final = (Format("macmon serve", is_page, read_macmon_page),)
