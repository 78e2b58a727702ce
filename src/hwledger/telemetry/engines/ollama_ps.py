"""The table of ``ollama ps``: models in memory, their size and where they are.

Sources: ollama ``cmd/cmd.go`` ``ListRunningHandler`` and ``format/bytes.go`` (sizes in decimal units, with
two digits), 0.1.38 to 0.33; CONTEXT since 2025-07.
"""

import re
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.ollama import ENGINE, IN_ALL
from hwledger.telemetry.engines.sizes import Told, explained, named
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

SOURCE: Final = "ollama ps"
_HEADING: Final = re.compile(
    r"^NAME\s{1,400}ID\s{1,40}SIZE\s{1,40}PROCESSOR\s{1,40}(?P<context>CONTEXT\s{1,40})?UNTIL[ \t\r]*$",
    re.MULTILINE,
)
_ROW: Final = re.compile(
    r"(?P<name>\S{1,400})\s+(?:[0-9a-f]{6,64}|-)\s+(?P<size>[0-9.]{1,12} [KMGT]?B)\s+"
    r"(?P<where>\S.{0,40}?)\s{2,}(?:(?P<context>[0-9]{1,12})\s{2,})?(?P<until>\S.{0,60})?"
)
_WHOLE: Final = re.compile(r"100% (GPU|CPU)")
_MOST: Final = 1000
_NO_MODEL: Final = "it lists no model"
_LONGEST: Final = 1000
_ROUNDED: Final = "sizes are rounded to two digits by ollama ps"


def is_list(text: str) -> bool:
    """Whether a text holds the table."""
    return _HEADING.search(text) is not None


def read_list(text: str) -> Sample:
    """Return the models of the last table of a text."""
    gauge = Gauge(SOURCE)
    heading = None
    for heading in _HEADING.finditer(text):  # noqa: B007 - the last one counts
        pass
    below = text[heading.end() :].splitlines()[1 : _MOST + 1] if heading else []
    rows = [found for line in below if (found := _ROW.fullmatch(line.strip()[:_LONGEST]))]
    models = tuple(
        ModelSnapshot(named(row["name"]), loaded=True, readings=MappingProxyType(_told(row, gauge)))
        for row in rows
    )
    notes = (IN_ALL, _ROUNDED, *(f"{named(row['name'])} is on {row['where']}" for row in rows))
    engine = EngineSnapshot(ENGINE, models=models, notes=notes if models else ())
    return explained(Sample(engines=(engine,)), SOURCE, _NO_MODEL, Reason.UNSUPPORTED)


def _told(row: re.Match[str], gauge: Gauge) -> Told:
    told: Told = {Quantity.MODEL_BYTES: measured(gauge, Quantity.MODEL_BYTES, row["size"])}
    if (on_device := _on_device(row, gauge, told[Quantity.MODEL_BYTES])) is not None:
        told[Quantity.MODEL_DEVICE_BYTES] = on_device
    if row["context"]:
        told[Quantity.CONTEXT] = measured(gauge, Quantity.CONTEXT, row["context"])
    return told


def _on_device(row: re.Match[str], gauge: Gauge, size: Reading) -> Reading | None:
    """Return what of a model is on devices, where that is all or nothing of it."""
    whole = _WHOLE.fullmatch(row["where"])
    if whole is None:
        return None
    derived = Gauge(gauge.source, gauge.at, Basis.DERIVED)
    return size if whole[1] == "GPU" else checked(derived, Quantity.MODEL_DEVICE_BYTES, 0)
