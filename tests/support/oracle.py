"""The rule that no number comes out of a reader that is not in its text."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Final

from hwledger.telemetry.parsing import FACTORS
from hwledger.telemetry.reading import Basis, Reading, Value
from hwledger.telemetry.snapshot import DeviceSnapshot, EngineSnapshot, Sample

_NUMBER: Final = re.compile(
    r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3}(?![0-9]))?|\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?"
)
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_THOUSANDS: Final = re.compile(r"(?<![0-9,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_LONG: Final = re.compile(r"&#x?[0-9a-fA-F]{20,}")
"""No character; ``unescape`` raises ``ValueError`` where it has thousands of digits."""
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_EXACT: Final = 1e-9
_UNITS: Final = tuple(sorted({factor for _, factor in FACTORS.values()} | {1e12, 1e-9}))


def values(sample: Sample) -> Iterator[Value]:
    """Yield every value of a sample: of devices, processes, engines, models and the host."""
    told: list[Iterable[Reading]] = []
    for device in sample.devices:
        told += [device.readings.values(), *_processes(device)]
    for engine in sample.engines:
        told += [engine.readings.values(), *_models(engine)]
    if sample.host is not None:
        told.append(sample.host.readings.values())
    yield from (each for readings in told for each in readings if isinstance(each, Value))


def _processes(device: DeviceSnapshot) -> Iterator[Iterable[Reading]]:
    if isinstance(device.processes, tuple):
        yield from ((each.memory, each.shared_memory) for each in device.processes)


def _models(engine: EngineSnapshot) -> Iterator[Iterable[Reading]]:
    for model in engine.models:
        yield model.readings.values()
        yield from (each.values() for each in model.devices.values())


def pids(sample: Sample) -> Iterator[int]:
    """Yield the number of every process."""
    for device in sample.devices:
        if isinstance(device.processes, tuple):
            yield from (each.pid for each in device.processes if each.pid is not None)
    yield from (engine.pid for engine in sample.engines if engine.pid is not None)


def numbers_in(text: str) -> list[float]:
    """Return every number that stands in a text as a whole, with and without its exponent, in order.

    Digits are ASCII's; a part of a longer run of digits is no number of the text.
    """
    found = set(_NUMBER.findall(text)) | set(_PLAIN.findall(text))
    found |= {each.replace(",", "") for each in _THOUSANDS.findall(text)}
    if "\\u" in text or "&#" in text:
        meant = unescape(_LONG.sub("", _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)))
        found |= set(_NUMBER.findall(meant)) | set(_PLAIN.findall(meant))
    return sorted(float(each) for each in found)


def strangers(sample: Sample, text: str) -> list[object]:
    """Return the numbers of a sample that are not in the text times a unit, and are not said to be derived.

    Bytes, counts and tokens may be rounded to a whole number; anything else is exact. What is derived must
    be no less than nothing.
    """
    known = numbers_in(text)
    told = [each for each in values(sample) if isinstance(each.value, int | float)]
    odd: list[object] = [each for each in told if not _is_fair(each, known)]
    return odd + [pid for pid in pids(sample) if not _near(known, float(pid), 0.0)]


def _is_fair(each: Value, known: list[float]) -> bool:
    number = each.value
    assert isinstance(number, int | float)
    if each.basis is Basis.DERIVED:
        return 0 <= number < 1e20
    size = abs(number)
    slack = max(0.5 if isinstance(number, int) else 0.0, size * _EXACT)
    return any(_near(known, size / unit, slack / unit) for unit in _UNITS)


def _near(known: list[float], number: float, slack: float) -> bool:
    at = bisect_left(known, number - slack)
    return at < len(known) and known[at] <= number + slack
