"""Metadata values of a GGUF file: numbers, strings and arrays, bounded by the bytes that are left."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from hwledger.library.gguf.cursor import Cursor

LARGEST_TEXT: Final = 1 << 20
"""A chat template is some 10 kB; a string over 1 MiB is no metadata that a plan reads."""
KEPT_ELEMENTS: Final = 4096
"""Arrays up to this length are kept (one entry per layer); tokenizer lists are only counted."""

STRING: Final = 8
ARRAY: Final = 9
BOOL: Final = 7
NUMBERS: Final = {
    0: Struct("<B"), 1: Struct("<b"), 2: Struct("<H"), 3: Struct("<h"), 4: Struct("<I"), 5: Struct("<i"),
    6: Struct("<f"), 10: Struct("<Q"), 11: Struct("<q"), 12: Struct("<d"),
}  # fmt: skip
NAMES: Final = {
    0: "u8", 1: "i8", 2: "u16", 3: "i16", 4: "u32", 5: "i32", 6: "f32", 7: "bool", 8: "string", 9: "array",
    10: "u64", 11: "i64", 12: "f64",
}  # fmt: skip
BYTE: Final = Struct("<B")


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """A long array of which only the length is kept."""

    length: int
    element_type: str


def read_value(cursor: Cursor, kind: int, key: str) -> object:
    """Read one value of the numbered ``kind``.

    Raises:
        MalformedError: the kind does not exist, or the value reaches past the end.
    """
    if kind in NUMBERS:
        return cursor.unpack(NUMBERS[kind], key)
    if kind == BOOL:
        return _read_bool(cursor, key)
    if kind == STRING:
        return cursor.text(key, LARGEST_TEXT).decode("utf-8", "replace")
    if kind == ARRAY:
        return _read_array(cursor, key)
    raise cursor.broken(f"{key} has the value type {kind}, which does not exist")


def _read_bool(cursor: Cursor, key: str) -> bool:
    value = cursor.unpack(BYTE, key)
    if value not in {0, 1}:
        raise cursor.broken(f"{key} is a truth value of {value}")
    return bool(value)


def _read_array(cursor: Cursor, key: str) -> object:
    kind = cursor.u32(f"the element type of {key}")
    length = cursor.u64(f"the length of {key}")
    if kind == STRING:
        return _read_texts(cursor, length, key)
    size = 1 if kind == BOOL else NUMBERS[kind].size if kind in NUMBERS else 0
    if not size:
        what = "arrays within an array" if kind == ARRAY else f"elements of type {kind}, which does not exist"
        raise cursor.broken(f"{key} holds {what}")
    if length > KEPT_ELEMENTS:
        cursor.skip(length * size, key)
        return ArraySummary(length, NAMES[kind])
    return tuple(read_value(cursor, kind, key) for _ in range(length))


def _read_texts(cursor: Cursor, length: int, key: str) -> object:
    if length * 8 > cursor.left:  # each string takes at least its length field
        raise cursor.broken(f"{key} claims {length:,} strings, {cursor.left:,} bytes are left")
    if length > KEPT_ELEMENTS:
        cursor.skip_texts(length, key)
        return ArraySummary(length, "string")
    return tuple(cursor.text(key, LARGEST_TEXT).decode("utf-8", "replace") for _ in range(length))
