"""``powermetrics``, which needs root: its text is read where somebody gives it; hwledger does not run it."""

import re
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.apple.names import KEY, VENDOR, told
from hwledger.telemetry.reading import Gauge
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

SOURCE: Final = "powermetrics"
_HEAD: Final = "*** Sampled system activity"
_LINE: Final = re.compile(
    r"^(?P<name>[A-Z][\w -]{0,60}?): {1,20}(?P<value>-?[0-9]+(?:\.[0-9]+)? ?(?:mW|W|MHz|%))", re.MULTILINE
)


def is_powermetrics(text: str) -> bool:
    """Whether a text is of powermetrics."""
    return _HEAD in text


def read_powermetrics(text: str) -> Sample:
    """Return the GPU and the processor of the last sample of a text."""
    last = text[max(text.rfind(_HEAD), 0) :]
    found = {line["name"]: line["value"] for line in _LINE.finditer(last)}
    gauge = Gauge(SOURCE)
    device = told("powermetrics", found.get, gauge)
    host = told("powermetrics_host", found.get, gauge)
    devices = (DeviceSnapshot(KEY, "", VENDOR, index=0, unified=True, readings=device),) if device else ()
    troubles = () if devices or host else ("powermetrics: it tells of neither GPU nor processor",)
    return Sample(
        devices=devices, host=HostSnapshot(readings=MappingProxyType(dict(host))), troubles=troubles
    )


FORMATS: Final = (Format("powermetrics", is_powermetrics, read_powermetrics),)
