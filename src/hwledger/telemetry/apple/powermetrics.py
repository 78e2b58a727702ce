"""``powermetrics``, which needs root: its text is read where somebody gives it; hwledger does not run it."""

import plistlib
import re
from types import MappingProxyType
from typing import Any, Final, TypeGuard
from xml.parsers.expat import ExpatError

from hwledger.telemetry.apple.names import KEY, VENDOR, told
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

SOURCE: Final = "powermetrics"
Told = dict[Quantity, Reading]
_HEAD: Final = "*** Sampled system activity"
_LINE: Final = re.compile(
    r"^(?P<name>[A-Z][\w -]{0,60}?): {1,20}(?P<value>-?[0-9]+(?:\.[0-9]+)? ?(?:mW|W|MHz|%))", re.MULTILINE
)


_PART: Final = re.compile(r"^GPU (?:HW )?active residency: ", re.MULTILINE)
_PLIST: Final = re.compile(r"<plist\b.{0,40}>.{0,4000}<key>(?:elapsed_ns|hw_model|is_delta)</key>", re.DOTALL)
_DOCUMENT: Final = "<?xml"
_LARGEST: Final = 4 << 20
_MHZ: Final = 1e6
"""What powermetrics calls ``freq_hz`` of the GPU is in MHz; no GPU runs at less than a megahertz."""


def is_powermetrics(text: str) -> bool:
    """Whether a text is of powermetrics, whole or the part about the GPU."""
    return _HEAD in text or _PART.search(text) is not None


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


def is_plist(text: str) -> bool:
    """Whether a text is powermetrics' ``-f plist``."""
    return _PLIST.search(text[:_LARGEST]) is not None


def read_plist(text: str) -> Sample:
    """Return the GPU and the processor of the last sample; busy is what is left of the idle share."""
    last = text[max(text.rfind(_DOCUMENT), 0) :][:_LARGEST]
    found = _loaded(last)
    processor, gpu = (found[key] if isinstance(found.get(key), dict) else {} for key in ("processor", "gpu"))
    gauge = Gauge(SOURCE)
    device = {
        **_clock(gpu.get("freq_hz"), gauge),
        **_busy(gpu.get("idle_ratio"), gauge),
        **_watts(Quantity.POWER, processor.get("gpu_power"), gauge),
    }
    host = _watts(Quantity.CPU_POWER, processor.get("cpu_power"), gauge)
    devices = (DeviceSnapshot(KEY, "", VENDOR, index=0, unified=True, readings=device),) if device else ()
    troubles = () if devices or host else ("powermetrics: its property list tells of no GPU",)
    return Sample(devices=devices, host=HostSnapshot(readings=MappingProxyType(host)), troubles=troubles)


def _loaded(text: str) -> dict[str, Any]:
    """Return a property list; empty where it is none. Entities are refused by the parser."""
    try:
        found = plistlib.loads(text.encode("utf-8", "replace"), fmt=plistlib.FMT_XML)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError, ExpatError):
        return {}
    return found if isinstance(found, dict) else {}


def _clock(said: object, gauge: Gauge) -> Told:
    if not _is_number(said):
        return {}
    return {Quantity.CLOCK: measured(gauge, Quantity.CLOCK, said, "MHz" if said < _MHZ else "Hz")}


def _busy(idle: object, gauge: Gauge) -> Told:
    if not _is_number(idle):
        return {}
    derived = Gauge(gauge.source, gauge.at, Basis.DERIVED)
    return {Quantity.UTILIZATION: checked(derived, Quantity.UTILIZATION, 1 - idle)}


def _watts(quantity: Quantity, said: object, gauge: Gauge) -> Told:
    return {quantity: measured(gauge, quantity, said, "mW")} if _is_number(said) else {}


def _is_number(said: object) -> TypeGuard[int | float]:
    return isinstance(said, int | float) and not isinstance(said, bool)


FORMATS: Final = (
    Format("powermetrics", is_powermetrics, read_powermetrics),
    Format("powermetrics -f plist", is_plist, read_plist),
)
