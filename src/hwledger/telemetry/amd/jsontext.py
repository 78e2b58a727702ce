"""JSON documents in what tools print: behind warnings, one after another, or none at all."""

import json
import re
from functools import lru_cache
from typing import Any, Final

MOST_DOCUMENTS: Final = 4096
MOST_TRIES: Final = 64
_START: Final = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)


def _none(_: str) -> None:
    """Return nothing for NaN and Infinity, which are no JSON."""


_DECODER: Final = json.JSONDecoder(parse_constant=_none)


@lru_cache(maxsize=4)
def documents(text: str) -> tuple[Any, ...]:
    """Return every JSON array and object that starts a line, in order; what stands between is passed over.

    Bounded: after 64 starts that are no JSON it gives up.
    """
    found: list[Any] = []
    at, tries = 0, 0
    while tries < MOST_TRIES and len(found) < MOST_DOCUMENTS:
        start = _START.search(text, at)
        if start is None:
            break
        try:
            document, at = _DECODER.raw_decode(text, start.end())
            found.append(document)
        except (ValueError, RecursionError):
            at, tries = start.end() + 1, tries + 1
    return tuple(found)


def before(text: str) -> str:
    """Return what stands before the first line that starts an array or an object: warnings."""
    start = _START.search(text)
    return text[: start.start()] if start is not None else text
