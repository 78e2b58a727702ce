"""rocm-smi's JSON, CSV, lines and concise table as samples."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from hwledger.telemetry.amd.facts import complaint
from hwledger.telemetry.amd.jsontext import before, documents
from hwledger.telemetry.amd.rocm import CARD, SOURCE, card, key_of
from hwledger.telemetry.amd.rocm_lists import ANY_CARD, is_hardware, is_pids, processes
from hwledger.telemetry.amd.telling import Identity, device_of, reading_of, text_of
from hwledger.telemetry.parsing import digits_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

_WARNING: Final = re.compile(r"(?P<what>(?:WARNING|ERROR)\b.*)")
_LINE: Final = re.compile(
    r"GPU\[(?P<card>[0-9]{1,4})\](?!\s*:?\s*(?:WARNING|ERROR):)\s*:?\s*(?P<key>[^:]{1,120}?)\s*:(?:\s+(?P<value>.*))?"
)
_TABLE: Final = re.compile(r"^(?:GPU|Device) .{0,400}", re.MULTILINE)
_HEADINGS: Final = frozenset({"SCLK", "MCLK", "GPU%"})
_FIRST_SHARED: Final = "SCLK"
_OVERDRIVE: Final = re.compile(r"\b([SM]CLK) OD\b")
_RATE_AND_LANES: Final = re.compile(r"(GT/s),? +(x[0-9])")
_BROKEN: Final = re.compile(r'^[ \t]{0,40}\{\s{0,200}"card[0-9]+"\s{0,40}:', re.MULTILINE)
_HEADING: Final = re.compile(
    r"^device,[^\n]{0,4000}(?:VRAM|GPU|Card|Temperature|clock|Power|PCI|Unique|Device)", re.MULTILINE
)
_COLUMNS: Final = {
    "SCLK": (Quantity.CLOCK, "mhz"), "MCLK": (Quantity.CLOCK_MEMORY, "mhz"), "Fan": (Quantity.FAN, "%"),
    "Perf": (Quantity.PERFORMANCE_STATE, ""), "PwrCap": (Quantity.POWER_LIMIT, "w"),
    "VRAM%": (Quantity.MEMORY_USED, "b"), "GPU%": (Quantity.UTILIZATION, "%"),
}  # fmt: skip
"""Columns from the clock on, one word each; those before it differ by version and hold several."""
_ABSENT: Final = frozenset({"n/a", "unsupported", "none", "unknown"})


def is_json(text: str) -> bool:
    """Return whether a text holds rocm-smi's JSON, whole or broken."""
    found = documents(text)
    return any(_cards(each) for each in found) or (not found and _BROKEN.search(text) is not None)


def _cards(document: Any) -> dict[int, Mapping[str, Any]]:
    """Return the cards of a document, ``card0`` or ``0``; empty where it is another tool's."""
    if not isinstance(document, Mapping):
        return {}
    found = {
        int(number[1]): fields
        for key, fields in document.items()
        if (number := CARD.fullmatch(key)) and isinstance(fields, Mapping) and _known(key, fields)
    }
    rest = {key for key in document if not CARD.fullmatch(key)} - {"system"}
    return found if found and not rest else {}


def _known(key: str, fields: Mapping[str, Any]) -> bool:
    """Return whether a card is rocm-smi's: a bare number may be anything."""
    words = ("(", "Card ", "GPU", "clock", "VRAM", "Perf", "Device")
    return key.startswith("card") or any(word in name for name in fields for word in words)


def read_json(text: str, at: float = 0.0) -> Sample:
    """Return what rocm-smi's JSON says, of any version; warnings before it are troubles."""
    gauge = Gauge(SOURCE, at)
    cards: dict[int, dict[str, Any]] = {}
    system: dict[str, Any] = {}
    for document in documents(text):
        for number, fields in _cards(document).items():
            cards.setdefault(number, {}).update(_keyed(fields))
        if isinstance(document, Mapping) and isinstance(document.get("system"), Mapping):
            system.update(_keyed(document["system"]))
    if not cards:
        return failed(text, Absent(Reason.UNPARSED, "its JSON is broken or names no card", SOURCE))
    devices = tuple(card(fields, gauge, number, system) for number, fields in sorted(cards.items()))
    return Sample(devices=devices, troubles=warnings(before(text)))


def _keyed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key_of(key): value for key, value in fields.items()}


def warnings(text: str) -> tuple[str, ...]:
    """Return the warnings in a text, each once, as sentences."""
    found = (_WARNING.search(line.strip()[:400]) for line in text.splitlines()[:1000])
    return tuple(dict.fromkeys(f"{SOURCE}: {each['what'][:200].rstrip('.')}" for each in found if each))


def failed(text: str, otherwise: Absent) -> Sample:
    """Return a sample of an output that says nothing, with the reason as failure and as a sentence."""
    why = complaint(text, SOURCE) or otherwise
    return Sample(troubles=(f"{why.source}: {why.detail}", *warnings(text)), failure=why)


def is_csv(text: str) -> bool:
    """Return whether a text is rocm-smi's CSV."""
    return _HEADING.search(text) is not None


def read_csv(text: str) -> Sample:
    """Return what rocm-smi's CSV says; its keys are those of the JSON.

    It writes no quotation marks: a row with more or fewer fields than the heading is not read.
    """
    gauge = Gauge(SOURCE)
    start = text[_start(text) :]
    devices: list[DeviceSnapshot] = []
    troubles = list(warnings(text))
    heading: list[str] = []
    for row in csv.reader(start.splitlines()[:10_000]):
        if row and row[0] == "device":
            heading = [key_of(each) for each in row]
        elif row and (number := CARD.fullmatch(row[0].strip())) is not None:
            if len(row) == len(heading):
                fields = dict(zip(heading, row, strict=True))
                devices.append(card(fields, gauge, int(number[1]), {}))
            else:
                troubles.append(
                    f"{SOURCE}: the row of {row[0][:20]} has {len(row)} fields, not {len(heading)}"
                )
    if not devices:
        return failed(text, Absent(Reason.UNPARSED, "its CSV has no row that is whole", SOURCE))
    return Sample(devices=tuple(devices), troubles=tuple(troubles))


def _start(text: str) -> int:
    found = _HEADING.search(text)
    return found.start() if found else 0


def is_lines(text: str) -> bool:
    """Return whether a text is rocm-smi's lines ``GPU[0]: key: value``."""
    return any(_LINE.fullmatch(line.strip()[:400]) for line in text.splitlines()[:5000])


def read_lines(text: str) -> Sample:
    """Return what rocm-smi's lines say; their keys are those of the JSON."""
    gauge = Gauge(SOURCE)
    cards: dict[int, dict[str, object]] = {}
    system: dict[str, object] = {}
    for line in text.splitlines()[:100_000]:
        found = _LINE.fullmatch(line.strip()[:400])
        if found is not None:
            cards.setdefault(int(found["card"]), {}).setdefault(
                key_of(found["key"]), (found["value"] or "").strip()
            )
        elif line.startswith("Driver version:"):
            system["driver version"] = line.partition(":")[2].strip()
    devices = [card(fields, gauge, number, system) for number, fields in sorted(cards.items())]
    devices = list(_with_table(devices, text))
    if is_pids(text):  # of one card it is clear whose they are
        why = gauge.absent(Reason.UNSUPPORTED, ANY_CARD)
        held = processes(text) if len(devices) == 1 else why
        devices = [replace(device, processes=held) for device in devices]
    return Sample(devices=tuple(devices), troubles=warnings(text))


def _with_table(devices: Sequence[DeviceSnapshot], text: str) -> Iterator[DeviceSnapshot]:
    """Yield devices with what a concise table in the same text says, as where two calls were copied."""
    beside = {row.index: row for row in read_table(text).devices} if _has_table(text) else {}
    for device in devices:
        row = beside.pop(device.index, None)
        yield device if row is None else replace(device, readings={**row.readings, **device.readings})
    yield from beside.values()


def is_table(text: str) -> bool:
    """Return whether a text is rocm-smi's concise table, and nothing beside it."""
    return _has_table(text) and not is_lines(text)


def _has_table(text: str) -> bool:
    return any(set(found[0].split()) >= _HEADINGS for found in _TABLE.finditer(text))


def read_table(text: str) -> Sample:
    """Return what the concise table says; it tells memory as a share of the total alone."""
    gauge = Gauge(SOURCE)
    hotspot = "(Junction)" in text
    names: list[str] = []
    devices: list[DeviceSnapshot] = []
    for line in text.splitlines()[:10_000]:
        words = _RATE_AND_LANES.sub(r"\1,\2", _OVERDRIVE.sub(r"\1_OD", line)).split()
        if set(words) >= _HEADINGS:
            names = words[words.index(_FIRST_SHARED) :]
        elif names and _is_row(words, names):
            devices.append(_row(words, names, gauge, hotspot=hotspot))
    if not devices:
        return failed(text, Absent(Reason.UNPARSED, "its table has no row", SOURCE))
    return Sample(devices=tuple(devices), troubles=warnings(text))


def _is_row(row: list[str], names: list[str]) -> bool:
    return len(row) > len(names) and digits_in(row[0], most=4) is not None and _said(row[-1], "%")


def _said(token: str, unit: str) -> bool:
    return token.lower() in _ABSENT or token.lower().endswith(unit)


def _row(row: list[str], names: list[str], gauge: Gauge, *, hotspot: bool) -> DeviceSnapshot:
    left, right = row[1 : -len(names)], dict(zip(names, row[-len(names) :], strict=True))
    if right.get("VRAM%", "").endswith("%"):  # a share of what is not told
        del right["VRAM%"]
    cells = ((*_COLUMNS[name], text) for name, text in right.items() if name in _COLUMNS)
    found = {quantity: _cell(gauge, quantity, text, unit) for quantity, unit, text in cells}
    heat = Quantity.TEMPERATURE_HOTSPOT if hotspot else Quantity.TEMPERATURE
    for quantity, unit, ends in ((heat, "c", "c"), (Quantity.POWER, "w", "w")):
        said = next((each for each in left if each[:1].isdigit() and each.lower().endswith(ends)), "N/A")
        found[quantity] = _cell(gauge, quantity, said, unit)
    return device_of(found, Identity(row[0], int(row[0])))


def _cell(gauge: Gauge, quantity: Quantity, text: str, unit: str) -> Reading:
    if text.lower().rstrip("%") in _ABSENT:
        return gauge.absent(Reason.UNSUPPORTED, f"it says {text[:40]!r}")
    if quantity is Quantity.PERFORMANCE_STATE:
        return text_of(gauge, quantity, text)
    return reading_of(gauge, quantity, text, unit)


def is_list_of_processes(text: str) -> bool:
    """Return whether a text is the list of processes, and nothing beside it."""
    return is_pids(text) and not is_lines(text) and not _has_table(text)


def is_complaint(text: str) -> bool:
    """Return whether a text is a complaint in place of an output, of either tool."""
    others = (is_json, is_csv, is_lines, is_table, is_pids, is_hardware)
    return (
        complaint(text, SOURCE, alone=True) is not None
        and not documents(text)
        and not any(each(text) for each in others)
    )


def read_complaint(text: str) -> Sample:
    """Return why there is no output."""
    return failed(text, Absent(Reason.UNPARSED, "it says nothing that is known", SOURCE))
