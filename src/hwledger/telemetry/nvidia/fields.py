"""Where nvidia-smi and its kin tell each value, from ``data/nvidia_smi.toml``, and reading it from there."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hwledger.shipped import shipped_text
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, Value, bytes_of

CALL: Final = re.compile(r"^(?:# ?)?\$ nvidia-smi\b(?P<words>.*)$", re.MULTILINE)
LEAST_CALLS: Final = 2
Ask = Callable[[str], str | None]
"""Returns what stands under a name; ``None`` where the name is not there."""
_LONGEST_TEXT: Final = 120
_LANES: Final = re.compile(r"\s*([0-9]{1,3})\s*x?\s*", re.IGNORECASE)
_REMARK: Final = re.compile(r"\s*\[Deprecated;[^\]]*\]\s*$")
"""Drivers from 610 on write beside old names what to ask instead."""
_APART_SINCE: Final = 510
"""The first driver that tells what it reserves (NVML 11.510, ``nvmlDeviceGetMemoryInfo_v2``)."""
_LONGEST_MAJOR: Final = 5
TOLERANCE: Final = 2 << 20
NOT_APART: Final = "used includes what the driver reserves: it does not tell them apart"


@dataclass(frozen=True, slots=True)
class Field:
    """Where a quantity is told.

    Attributes:
        quantity: what.
        names: by kind of output, the names under which it can stand.
        unit: what is meant where a text names no unit, by kind of output.
        textual: it is no number.
    """

    quantity: Quantity
    names: Mapping[str, tuple[str, ...]]
    unit: Mapping[str, str]
    textual: bool


def is_several(text: str) -> bool:
    """Whether a text holds the outputs of several calls, each behind the command that made it."""
    return len(CALL.findall(text)) >= LEAST_CALLS


@cache
def tables() -> dict[str, Any]:
    """Return the table as it is written."""
    return tomllib.loads(shipped_text("hwledger.telemetry", "data/nvidia_smi.toml"))


@cache
def fields() -> tuple[Field, ...]:
    """Return where each quantity is told."""
    kinds = ("csv", "path", "exporter", "dcgm")
    return tuple(
        Field(
            Quantity(row["quantity"]),
            {kind: tuple(row.get(kind, ())) for kind in kinds},
            {"dcgm": row.get("dcgm_unit", ""), "exporter": "", "": row.get("unit", "")},
            textual=group == "text",
        )
        for group in ("field", "text")
        for row in tables()[group]
    )


def readings(ask: Ask, kind: str, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return every quantity that an output tells or names; one that it does not name is left out.

    Args:
        ask: what stands under a name.
        kind: ``csv``, ``path``, ``exporter`` or ``dcgm``: whose names are asked.
        gauge: the source.
    """
    found: dict[Quantity, Reading] = {}
    for field in fields():
        unit = field.unit.get(kind, field.unit[""])
        for name in field.names[kind]:
            text = ask(name)
            if text is None or isinstance(found.get(field.quantity), Value):
                continue
            reading = (
                _text(gauge, field.quantity, text) if field.textual else _number(gauge, field, text, unit)
            )
            if isinstance(reading, Value) or field.quantity not in found:
                found[field.quantity] = reading
    return found


def _text(gauge: Gauge, quantity: Quantity, text: str) -> Reading:
    nothing = said_nothing(text, gauge.source)
    plain = _REMARK.sub("", text).strip()
    said = f"CUDA {plain}" if quantity is Quantity.RUNTIME else plain
    return nothing if nothing is not None else gauge(quantity, said[:_LONGEST_TEXT])


def _number(gauge: Gauge, field: Field, text: str, unit: str) -> Reading:
    lanes = _LANES.fullmatch(text)
    if field.quantity in {Quantity.PCIE_WIDTH, Quantity.PCIE_WIDTH_MAX} and lanes:
        return measured(gauge, field.quantity, lanes[1])
    return measured(gauge, field.quantity, text, "" if unit == "x" else unit)


@cache
def _events() -> Mapping[str, str]:
    text = shipped_text("hwledger.telemetry", "data/nvml.toml")
    words = {row["field"]: row["word"] for row in tomllib.loads(text)["event"]}
    return words | {label: words[field] for label, field in tables()["event"].items()}


def throttle(told: Iterable[tuple[str, str]], gauge: Gauge) -> Reading | None:
    """Return what holds the clocks down; ``None`` where nothing is said of it.

    Args:
        told: event reasons, each the end of its name and ``Active``, ``Not Active`` or why that is not known.
        gauge: the source.
    """
    words, unknown = [], None
    seen = False
    for name, text in told:
        state = text.strip().lower()
        if name not in _events():
            continue
        if state in {"active", "1", "1.0"}:
            words.append(_events()[name])
        elif state not in {"not active", "0", "0.0"}:
            unknown = said_nothing(text, gauge.source) or gauge.absent(Reason.UNPARSED, f"{text[:40]!r}")
            continue
        seen = True
    if not seen:
        return unknown
    return gauge(Quantity.THROTTLE, tuple(dict.fromkeys(words)))


def memory_notes(found: Mapping[Quantity, Reading]) -> tuple[str, ...]:
    """Return what must be known of the memory figures of a device: whether used holds what is reserved."""
    total, used = bytes_of(found.get(Quantity.MEMORY_TOTAL)), bytes_of(found.get(Quantity.MEMORY_USED))
    free = bytes_of(found.get(Quantity.MEMORY_FREE))
    if total is None or used is None or isinstance(found.get(Quantity.MEMORY_RESERVED), Value):
        return ()
    if free is not None and total - used - free > TOLERANCE:
        return ()
    return (NOT_APART,) if free is not None or Quantity.MEMORY_RESERVED in found or _is_old(found) else ()


def _is_old(found: Mapping[Quantity, Reading]) -> bool:
    """Whether a driver is told that counts what it reserves as used."""
    driver = found.get(Quantity.DRIVER)
    major = str(driver.value).partition(".")[0] if isinstance(driver, Value) else ""
    return major.isdecimal() and len(major) < _LONGEST_MAJOR and int(major) < _APART_SINCE


def all_lost(why: Absent) -> dict[Quantity, Reading]:
    """Return the readings of a device that cannot be asked."""
    return dict.fromkeys(
        (
            Quantity.MEMORY_TOTAL,
            Quantity.MEMORY_USED,
            Quantity.UTILIZATION,
            Quantity.TEMPERATURE,
            Quantity.POWER,
        ),
        why,
    )
