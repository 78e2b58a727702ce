"""Arrays in one block of a cache: a header in JSON, and their bytes one after the other.

``HEADER LENGTH (8 bytes, little-endian) | {"note": …, "arrays": [[name, type, shape], …]} | bytes``.
Reading trusts nothing: lengths have to add up exactly. Which arrays there have to be, the reader of the
numbers knows.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Final

LONGEST_HEADER: Final = 16 << 20
Kept = tuple[str, str, tuple[int, ...], bytes | memoryview]
"""Name, type, shape and bytes of one array."""


def pack(note: Mapping[str, Any], arrays: Iterable[Kept]) -> bytes:
    """Return arrays, and a note about them, as bytes."""
    kept = list(arrays)
    said = {"note": dict(note), "arrays": [[name, kind, list(shape)] for name, kind, shape, _ in kept]}
    header = json.dumps(said, sort_keys=True).encode()
    return b"".join([struct.pack("<Q", len(header)), header, *(content for *_, content in kept)])


def unpack(
    content: bytes | memoryview, widths: Mapping[str, int]
) -> tuple[dict[str, Any], list[Kept]] | None:
    """Return the note and the arrays; ``None`` where the bytes are no such block.

    Args:
        content: the bytes.
        widths: bytes of an element by the names of types.
    """
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > min(LONGEST_HEADER, len(content)):
            return None
        said = json.loads(bytes(content[8 : 8 + length]))
        view, at = memoryview(content), 8 + length
        found: list[Kept] = []
        for name, kind, shape in said["arrays"]:
            size = widths[kind] * prod(map(_count, shape))
            found.append((str(name), str(kind), tuple(shape), view[at : at + size]))
            at += size
        return (dict(said["note"]), found) if at == len(content) else None
    except (ValueError, TypeError, KeyError, struct.error, RecursionError, AttributeError):
        return None


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 40:
        raise TypeError(number)
    return number
