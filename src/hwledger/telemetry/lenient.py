"""JSON as servers send it, and as documents about them print it: comments, bare keys, single quotes.

Source: the JSON5 specification, as far as replies in documentation use it.
"""

import json
import re
from functools import lru_cache
from typing import Any, Final, NoReturn

LARGEST: Final = 4 << 20
_LARGEST_LENIENT: Final = 1 << 20
_PIECE: Final = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'(?:[^'\\]|\\.)*')|(?P<comment>//[^\n]*|/\*.{0,2000}?\*/)"""
    r"""|(?P<key>[A-Za-z_$][\w$]{0,200})(?=\s{0,20}:)""",
    re.DOTALL,
)
_LAST_COMMA: Final = re.compile(r""""(?:[^"\\]|\\.)*"|(?P<comma>,)(?=\s*[}\]])""", re.DOTALL)


@lru_cache(maxsize=2)
def json_in(text: str) -> Any:
    """Return the JSON value that a text is; ``None`` where it is none, or larger than 4 Mi characters."""
    if len(text) > LARGEST:
        return None
    found = _loaded(text)
    if found is None and len(text) <= _LARGEST_LENIENT and text.lstrip()[:1] in {"{", "["}:
        plain = _PIECE.sub(_strict, text)
        found = _loaded(_LAST_COMMA.sub(lambda piece: "" if piece["comma"] else piece[0], plain))
    return found


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _strict(piece: re.Match[str]) -> str:
    """Return a piece of JSON5 as JSON has it."""
    if piece["double"] is not None:
        return piece["double"]
    if piece["key"] is not None:
        return f'"{piece["key"]}"'
    if piece["single"] is None:
        return ""
    inner = re.sub(r"\\.", lambda escape: "'" if escape[0] == "\\'" else escape[0], piece["single"][1:-1])
    return '"' + re.sub(r'(?<!\\)"', r"\\" + '"', inner) + '"'
