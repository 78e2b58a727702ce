"""Bytes, tokens and counts: parsing what people type and printing what they read.

1 GiB is 2**30 bytes. A bare suffix (``k``, ``m``, ``g``) is binary too, because a
"128k" context is 131,072 tokens. Only the decimal spellings ``kB``, ``MB``, ``GB`` are powers of ten.
"""

import math
import re
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

_LIMIT: Final = 1 << 62
# Patterns are compiled, and kept by ``re``, when they are first used: start-up time.
_SIZE: Final = r"\s*(?P<number>\d+(?:[_,]\d{3})*(?:\.\d+)?(?:[eE]\+?\d{1,3})?)\s*(?P<unit>[A-Za-z]*)\s*"
_MOST_DIGITS: Final = 18
_FACTORS: Final = {
    "": 1, "b": 1,
    "k": KIB, "ki": KIB, "kib": KIB, "kb": 10**3,
    "m": MIB, "mi": MIB, "mib": MIB, "mb": 10**6,
    "g": GIB, "gi": GIB, "gib": GIB, "gb": 10**9,
    "t": TIB, "ti": TIB, "tib": TIB, "tb": 10**12,
}  # fmt: skip
_TIME: Final = r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>us|µs|ms|s|sec|min|m|h|d)?\s*"
_SECONDS: Final = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_MONEY: Final = (
    r"\s*(?:\$|USD\s*)?(?P<number>\d+(?:\.\d+)?)\s*(?:\$|USD)?\s*"
    r"(?:/\s*(?P<per>h|hr|hour|d|day|mo|month))?\s*"
)
_HOURS: Final = {"h": 1.0, "hr": 1.0, "hour": 1.0, "d": 24.0, "day": 24.0, "mo": 730.0, "month": 730.0}


def cdiv(value: int, step: int) -> int:
    """Return ``value / step`` rounded up; ``step`` is positive."""
    return -(-value // step)


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is at least ``value``."""
    return -(-value // step) * step


def whole_number(text: str) -> int | None:
    """Return the number that up to 18 digits stand for; ``None`` where the text is anything else.

    ``str.isdigit`` holds for ``²`` as well, and ``int`` refuses thousands of digits: both come from outside.
    """
    short = len(text) <= _MOST_DIGITS
    return int(text) if short and text.isascii() and text.isdecimal() else None


def parse_size(text: str) -> int:
    """Return the whole number that ``131072``, ``128k``, ``6.51GiB`` or ``24 GB`` stands for.

    Raises:
        ValueError: the text is no size, is negative, or exceeds 2**62.
    """
    match = re.fullmatch(_SIZE, text)
    factor = _FACTORS.get(match["unit"].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size; write it like 131072, 128k or 6.51GiB")
    value = float(match["number"].replace("_", "").replace(",", "")) * factor
    if not math.isfinite(value) or value > _LIMIT:
        raise ValueError(f"{text!r} is larger than anything that can be planned (2**62)")
    whole = match["number"].replace("_", "").replace(",", "")
    return int(whole) * factor if whole.isdigit() else round(value)


def parse_seconds(text: str) -> float:
    """Return the seconds that ``2s``, ``50ms``, ``1.5`` or ``2min`` stand for.

    Raises:
        ValueError: the text is no time, or none at all.
    """
    match = re.fullmatch(_TIME, text, re.IGNORECASE)
    value = float(match["number"]) * _SECONDS[(match["unit"] or "s").lower()] if match else 0.0
    if not 0 < value < _LIMIT:
        raise ValueError(f"{text!r} is no time; write it like 2s or 50ms")
    return value


def parse_money(text: str) -> float:
    """Return the dollars per hour that ``2.50/h``, ``$2.50`` or ``1800/month`` stand for.

    Raises:
        ValueError: the text is no price, or none at all.
    """
    match = re.fullmatch(_MONEY, text, re.IGNORECASE)
    value = float(match["number"]) / _HOURS[(match["per"] or "h").lower()] if match else 0.0
    if not 0 < value < _LIMIT:
        raise ValueError(f"{text!r} is no price; write it like 2.50/h")
    return value


def format_gib(size_bytes: float, digits: int = 2) -> str:
    """Return bytes as GiB with a fixed number of decimals: ``format_gib(2**30)`` is ``'1.00 GiB'``."""
    return f"{size_bytes / GIB:,.{digits}f} GiB"


def format_bytes(size_bytes: float) -> str:
    """Return bytes in the binary unit that reads best, three significant digits or more."""
    for factor, unit in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= factor:
            return f"{size_bytes / factor:,.2f} {unit}"
    return f"{size_bytes:,.0f} B"


def format_count(count: float) -> str:
    """Return a parameter count as people say it: ``8.03 B``, ``135 M``."""
    for factor, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if abs(count) >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count:g}"


def format_tokens(tokens: int) -> str:
    """Return tokens as ``128k`` where that is exact, with thousands separators elsewhere."""
    if tokens >= KIB and tokens % KIB == 0:
        return f"{tokens // KIB}k"
    return f"{tokens:,}"
