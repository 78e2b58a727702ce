"""Reading JSON values that a server or another program wrote: what has the wrong type counts as absent."""

from collections.abc import Mapping
from typing import Any, Final

LARGEST_NUMBER: Final = 1 << 62
LONGEST_TEXT: Final = 1 << 16


def text(value: object) -> str:
    """Return a string without control characters, cut to 64 Ki; empty where it is none."""
    return "".join(c for c in value[:LONGEST_TEXT] if c.isprintable()) if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """Return a whole number that is not negative; ``None`` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < LARGEST_NUMBER else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object; empty where it is none."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a JSON array; empty where it is none."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
