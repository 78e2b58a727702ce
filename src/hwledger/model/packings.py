"""Named packings that weights can be planned in (``awq``, ``nf4``, ``4bit``), from ``data/packings.csv``."""

import csv
from dataclasses import dataclass
from functools import cache

from hwledger.model.quantisation import Packing
from hwledger.model.tensors import Part
from hwledger.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class NamedPacking:
    """A packing as people name it, and the parts that it usually leaves as they are."""

    packing: Packing
    kept_parts: frozenset[Part]
    source: str


@cache
def named_packings() -> dict[str, NamedPacking]:
    """Return all packings by name and by alias, in lower case."""
    found: dict[str, NamedPacking] = {}
    text = shipped_text("hwledger.model", "data/packings.csv")
    for row in csv.DictReader(text.splitlines()):
        packing = Packing(
            name=row["name"], bits=int(row["bits"]), group=int(row["group"]), rows=int(row["rows"]),
            group_bits=int(row["group_bits"]), matrix_bytes=int(row["matrix_bytes"]),
        )  # fmt: skip
        named = NamedPacking(packing, frozenset(Part(part) for part in row["kept"].split()), row["source"])
        for name in (row["name"], *row["aliases"].split()):
            found[name] = named
    return found
