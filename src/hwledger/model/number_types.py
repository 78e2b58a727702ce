"""Number types and their sizes, from ``data/number_types.csv``: floats, fp8, every ggml type."""

import csv
from dataclasses import dataclass
from functools import cache

from hwledger.errors import UnknownOptionError
from hwledger.shipped import shipped_text
from hwledger.units import cdiv


@dataclass(frozen=True, slots=True)
class NumberType:
    """A storage type of blocks: ``block`` elements take ``block_bytes`` bytes.

    Attributes:
        name: canonical name (``bf16``, ``q4_K``).
        block: elements of one block; 1 for plain types.
        block_bytes: bytes of one block.
        ggml_id: number in a GGUF file; ``None`` where ggml does not know the type.
    """

    name: str
    block: int
    block_bytes: int
    ggml_id: int | None = None

    @property
    def bits(self) -> float:
        """Bits per element."""
        return 8 * self.block_bytes / self.block

    def nbytes(self, elements: int) -> int:
        """Bytes of ``elements`` consecutive elements, whole blocks."""
        return cdiv(elements, self.block) * self.block_bytes


@cache
def _table() -> tuple[dict[str, NumberType], dict[str, str]]:
    types: dict[str, NumberType] = {}
    aliases: dict[str, str] = {}
    text = shipped_text("hwledger.model", "data/number_types.csv")
    for row in csv.DictReader(text.splitlines()):
        ggml = int(row["ggml_id"]) if row["ggml_id"] else None
        types[row["name"]] = NumberType(row["name"], int(row["block"]), int(row["bytes"]), ggml)
        for alias in (row["name"], *row["aliases"].split()):
            aliases[alias.lower()] = row["name"]
    return types, aliases


def number_types() -> dict[str, NumberType]:
    """All known types by canonical name."""
    return dict(_table()[0])


@cache
def number_type(name: str) -> NumberType:
    """Return the type called ``name``, in any spelling that tools use for it (``bfloat16``, ``Q8_0``).

    Raises:
        UnknownOptionError: no such type.
    """
    types, aliases = _table()
    key = name.lower().removeprefix("torch.")
    if key not in aliases:
        raise UnknownOptionError("number type", name, sorted(types))
    return types[aliases[key]]


@cache
def ggml_types() -> dict[int, NumberType]:
    """Types by their number in a GGUF file; removed numbers are absent."""
    return {kind.ggml_id: kind for kind in _table()[0].values() if kind.ggml_id is not None}
