"""One value, one run of bytes: the canonical form of JSON that the ledger stores and hashes.

UTF-8, keys sorted by their bytes, no white space, no escapes but those that JSON demands, integers of 64
bits and no other numbers. The library is orjson; what it would change in silence (dates to text) is refused.
Fractions are refused because no form of them holds: orjson 3.10 writes 1e22 where 3.13 writes 1e+22.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hwledger.errors import MalformedError

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)

_PLAIN: Final = frozenset({str, int, bool, type(None)})


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of an object.

    Raises:
        MalformedError: it holds what has no form here: fractions, integers beyond 64 bits, keys that are no
            text, tuples, text that is no Unicode.
    """
    try:
        raw = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedError(
            f"this cannot be written as JSON ({error}); leave it out or write it as text"
        ) from None
    if not _is_plain(value):
        raise MalformedError(
            "this holds a fraction or a tuple; write whole numbers of a smaller unit, text, or a list"
        )
    return raw


def parsed(raw: bytes) -> dict[str, Any]:
    """Return the object that canonical bytes say.

    Raises:
        MalformedError: they are no JSON object, or not in canonical form (white space, order, doubled keys,
            fractions).
    """
    try:
        value = orjson.loads(raw)
        same = isinstance(value, dict) and _is_canonical(value, raw)
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedError(f"this is no JSON ({error}); an event is one JSON object") from None
    if not isinstance(value, dict):
        raise MalformedError(
            f"this is JSON but no object ({type(value).__name__}); an event is one JSON object"
        )
    if not same:
        raise MalformedError("this JSON is not in canonical form: sorted keys, no white space, whole numbers")
    return value


def _is_canonical(value: dict[str, Any], raw: bytes) -> bool:
    return orjson.dumps(value, option=_OPTIONS) == raw and _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Return whether a value holds only what reads back as it was; JSON was no deeper."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is dict:
            waiting.extend(one.values())
        elif kind is list:
            waiting.extend(one)
        elif kind not in _PLAIN:
            return False
    return True
