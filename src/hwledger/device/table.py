"""The table of accelerators that ships with the package."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import RATE_TYPES, DeviceSpec, Price
from hwledger.shipped import shipped_text

# Columns of the table that are fields as they stand.
_TEXTS: Final = (
    "name", "vendor", "category", "architecture", "compute_capability", "memory_type", "usable_basis",
    "context_basis", "link", "bridge", "pcie", "source", "usable_source", "context_source",
)  # fmt: skip
_NUMBERS: Final = (
    "parts", "units", "memory_bytes", "usable_bytes", "context_bytes", "bandwidth_bytes_per_second",
    "link_bytes_per_second", "bridge_bytes_per_second", "pcie_bytes_per_second", "tdp_watts", "released",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One device and how people call it.

    Attributes:
        device: the device.
        spellings: the words of its name and then of its other names.
        rare: a version that few people have; it is meant only where its memory size is said.
    """

    device: DeviceSpec
    spellings: tuple[tuple[str, ...], ...]
    rare: bool = False


@cache
def entries() -> tuple[Entry, ...]:
    """Return every accelerator of the table, in its order."""
    return tuple(map(_entry, range(len(_rows()))))


@cache
def entry_called(letters: str) -> Entry | None:
    """Return the first accelerator with these letters and digits for a name; the others are not made."""
    for number, row in enumerate(_rows()):
        if letters in (spelling.replace(" ", "") for spelling in row["spellings"].split(";")):
            return _entry(number)
    return None


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = shipped_text("hwledger.device", "data/accelerators.csv")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _entry(number: int) -> Entry:
    row = _rows()[number]
    spellings = tuple(tuple(spelling.split()) for spelling in row["spellings"].split(";"))
    return Entry(_device(row), spellings, row["rare"] == "yes")


def _device(row: Mapping[str, str]) -> DeviceSpec:
    numbers = {column: int(row[column]) for column in _NUMBERS if row[column]}
    if (slot := pcie_bandwidth(row["pcie"])) is not None:
        numbers["pcie_bytes_per_second"] = slot
    return DeviceSpec(
        **{column: row[column] for column in _TEXTS},  # type: ignore[arg-type] # the columns are the fields
        **numbers,  # type: ignore[arg-type]
        unified=row["unified"] == "yes", price=_price(row),
        rates={kind: float(row[f"{kind}_tera"]) * 1e12 for kind in RATE_TYPES if row[f"{kind}_tera"]},
    )  # fmt: skip


def _price(row: Mapping[str, str]) -> Price | None:
    if not row["price"]:
        return None
    return Price(float(row["price"]), row["price_currency"], row["price_date"], row["price_source"])
