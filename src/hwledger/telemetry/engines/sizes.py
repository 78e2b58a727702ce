"""Figures of logs: sums over devices, and samples that say why they hold nothing."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Readings, Reason, Value, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

Told = dict[Quantity, Reading]
Devices = dict[str, Told]
LONGEST_NAME: Final = 400
_COUNT: Final = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,4})?) ?([KMBT])(?:-A[0-9]{1,6}(?:\.[0-9]{1,4})?[MB])?", re.IGNORECASE
)
_LETTERS: Final = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def summed(gauge: Gauge, quantity: Quantity, devices: Mapping[str, Told]) -> Reading | None:
    """Return a quantity over all devices, derived where there are several; ``None`` where none tells it.

    One device that cannot be read leaves no sum.
    """
    told = [each[quantity] for each in devices.values() if quantity in each]
    if not told:
        return None
    numbers = [number_of(reading) for reading in told]
    if len(told) == 1:
        return told[0]
    known = [number for number in numbers if number is not None]
    if len(known) < len(told):
        return next(reading for reading in told if isinstance(reading, Absent))
    return Gauge(gauge.source, gauge.at, Basis.DERIVED)(quantity, round(sum(known)))


def with_sums(gauge: Gauge, devices: Mapping[str, Told], quantities: Iterable[Quantity]) -> Told:
    """Return the quantities over all devices that some device tells."""
    found = {quantity: summed(gauge, quantity, devices) for quantity in quantities}
    return {quantity: reading for quantity, reading in found.items() if reading is not None}


def frozen(devices: Mapping[str, Told]) -> Mapping[str, Readings]:
    """Return readings by device that cannot be changed."""
    return MappingProxyType({name: MappingProxyType(dict(told)) for name, told in devices.items()})


def named(text: object) -> str:
    """Return a name as it can be shown, cut, with a sign for what is not printable; empty where it is none.

    Nothing is left out: digits on both sides of it would make another number.
    """
    if not isinstance(text, str):
        return ""
    return "".join(char if char.isprintable() else "\ufffd" for char in text.strip()[:LONGEST_NAME])


def count_in(text: str, gauge: Gauge) -> Reading:
    """Return the parameters of ``7.2B``, ``134.52 M`` or ``26B-A4B``, rounded as they are written."""
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        return gauge.absent(Reason.UNPARSED, f"no count of parameters: {text[:40]!r}")
    return checked(gauge, Quantity.PARAMETERS, float(found[1]) * _LETTERS[found[2].lower()])


def explained(sample: Sample, source: str, nothing: str, reason: Reason = Reason.UNPARSED) -> Sample:
    """Return the sample; where it holds no value at all, with its reason as its failure and as a trouble.

    Args:
        sample: what was read.
        source: who was asked.
        nothing: the sentence where not even a reason was found.
        reason: what kind of nothing that is.
    """
    readings = [reading for engine in sample.engines for reading in _of_engine(engine)]
    named_models = [model.name for engine in sample.engines for model in engine.models if model.name]
    if any(isinstance(reading, Value) for reading in readings) or (named_models and not readings):
        return sample
    why = next((reading for reading in readings if isinstance(reading, Absent)), None)
    failure = why or Absent(reason, nothing, source)
    sentence = f"{source}: {failure.detail}"
    troubles = sample.troubles if sentence in sample.troubles else (*sample.troubles, sentence)
    return replace(sample, failure=failure, troubles=troubles)


def _of_engine(engine: EngineSnapshot) -> list[Reading]:
    return [*engine.readings.values(), *(each for model in engine.models for each in _of_model(model))]


def _of_model(model: ModelSnapshot) -> list[Reading]:
    return [*model.readings.values(), *(each for told in model.devices.values() for each in told.values())]
