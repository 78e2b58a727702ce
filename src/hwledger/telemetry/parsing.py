"""Numbers in what tools print: strict about what is a number, and about what a number can be."""

import math
import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

from hwledger.shipped import shipped_text
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason

_NUMBER: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(?P<unit>[^\s.0-9].*)?"
)
_LONGEST: Final = 400
_PLAIN: Final = 300
"""So many digits are finite."""
_K: Final = 1 << 10
FACTORS: Final[Mapping[str, tuple[Unit, float]]] = {
    "b": (Unit.BYTES, 1), "byte": (Unit.BYTES, 1), "bytes": (Unit.BYTES, 1),
    "kib": (Unit.BYTES, _K), "mib": (Unit.BYTES, _K**2), "gib": (Unit.BYTES, _K**3),
    "tib": (Unit.BYTES, _K**4),
    "kb": (Unit.BYTES, 1e3), "mb": (Unit.BYTES, 1e6), "gb": (Unit.BYTES, 1e9),
    "%": (Unit.RATIO, 0.01), "": (Unit.COUNT, 1),
    "c": (Unit.CELSIUS, 1), "mc": (Unit.CELSIUS, 1e-3), "°c": (Unit.CELSIUS, 1), "\u2103": (Unit.CELSIUS, 1),
    "w": (Unit.WATTS, 1), "mw": (Unit.WATTS, 1e-3), "uw": (Unit.WATTS, 1e-6),
    "j": (Unit.JOULES, 1), "mj": (Unit.JOULES, 1e-3), "uj": (Unit.JOULES, 1e-6),
    "hz": (Unit.HERTZ, 1), "khz": (Unit.HERTZ, 1e3), "mhz": (Unit.HERTZ, 1e6), "ghz": (Unit.HERTZ, 1e9),
    "b/s": (Unit.BYTES_PER_SECOND, 1), "kb/s": (Unit.BYTES_PER_SECOND, 1e3),
    "mb/s": (Unit.BYTES_PER_SECOND, 1e6), "gb/s": (Unit.BYTES_PER_SECOND, 1e9),
    "kib/s": (Unit.BYTES_PER_SECOND, _K), "mib/s": (Unit.BYTES_PER_SECOND, _K**2),
}  # fmt: skip
"""Units as tools spell them, in lower case, in base units; a tool whose ``MB`` is MiB says so itself."""
_CAN_BE: Final[Mapping[Unit, tuple[float, float]]] = {
    Unit.BYTES: (0, 1 << 60), Unit.RATIO: (0, 1), Unit.CELSIUS: (-60, 200), Unit.WATTS: (0, 100_000),
    Unit.JOULES: (0, 1e18), Unit.HERTZ: (0, 1e11), Unit.SECONDS: (0, 1e12),
    Unit.BYTES_PER_SECOND: (0, 1e14), Unit.TOKENS: (0, 1e18), Unit.TOKENS_PER_SECOND: (0, 1e9),
    Unit.COUNT: (0, 1e18),
}  # fmt: skip
_FASTEST_FAN: Final = 2.0
"""NVML states fans beyond 100 % of their nominal speed."""
_WHOLE: Final = frozenset({Unit.BYTES, Unit.COUNT, Unit.TOKENS})


def _limits(quantity: Quantity) -> tuple[float, float, bool]:
    unit = MEANINGS[quantity].unit
    least, most = _CAN_BE.get(unit, (-math.inf, math.inf))
    most = _FASTEST_FAN if quantity is Quantity.FAN else most
    return least, most, unit in _WHOLE and quantity is not Quantity.LOAD


LIMITS: Final[Mapping[Quantity, tuple[float, float, bool]]] = {each: _limits(each) for each in Quantity}
"""What a quantity can be at least and at most, and whether it is a whole number."""


@cache
def _words() -> tuple[tuple[str, bool, Reason, str], ...]:
    text = shipped_text("hwledger.telemetry", "data/sentinels.toml")
    return tuple(
        (word, whole, Reason(row["reason"]), word)
        for row in tomllib.loads(text)["word"]
        for whole, key in ((True, "exact"), (False, "within"))
        for word in row.get(key, ())
    )


def said_nothing(text: str, source: str = "") -> Absent | None:
    """Return the reason that a tool prints in place of a value; ``None`` where the text is something else.

    An empty text is ``unparsed``: the tool has the field and says nothing.
    """
    return _reason(text.strip()[:_LONGEST], source)


@lru_cache(maxsize=4096)
def _reason(short: str, source: str) -> Absent | None:
    """Return what ``said_nothing`` does; kept, as devices say the same again and again."""
    plain = short.strip("[]()<> ").lower()
    if not plain:
        return Absent(Reason.UNPARSED, "the field is empty", source)
    for word, whole, reason, _ in _words():
        if plain == word if whole else word in plain:
            return Absent(reason, f"it says {short[:80]!r}", source)
    return None


def number_in(text: str) -> tuple[float, str] | None:
    """Return the number that a text is, and the unit behind it in lower case; ``None``: it is none.

    Infinity, NaN, hexadecimal and thousands of digits are none; so is a text with more behind the unit.
    """
    found = _NUMBER.fullmatch(text.strip()[:_LONGEST]) if len(text) < _LONGEST else None
    if found is None:
        return None
    number = float(found["number"])
    return (number, (found["unit"] or "").strip().lower()) if math.isfinite(number) else None


def digits_in(text: object, most: int = 10) -> int | None:
    """Return a whole number that stands alone, such as a process or a device; ``None``: it is none.

    Args:
        text: digits, or the number of a JSON document.
        most: digits that it has at most.
    """
    said = "" if isinstance(text, bool) else str(text).strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) <= most else None


def checked(gauge: Gauge, quantity: Quantity, number: float) -> Reading:
    """Return a number as the value of a quantity, in its unit; ``unparsed`` where it cannot be.

    Counts, bytes and tokens become whole numbers.
    """
    least, most, whole = LIMITS[quantity]
    if not least <= number <= most:
        meaning = MEANINGS[quantity]
        return gauge.absent(Reason.UNPARSED, f"{number:g} cannot be: {meaning.label} in {meaning.unit}")
    return gauge(quantity, round(number) if whole else number)


def measured(
    gauge: Gauge, quantity: Quantity, text: object, unit: str = "", spelled: Mapping[str, str] | None = None
) -> Reading:
    """Return what a tool prints for a quantity: its value in base units, or why there is none.

    Args:
        gauge: the source and the moment.
        quantity: what it is meant to be.
        text: what is printed, or the number of a JSON document.
        unit: the unit where the text names none.
        spelled: the tool's own spellings, in lower case: ``{"mb": "mib"}`` where its MB is MiB.
    """
    found: tuple[float, str] | Absent
    if isinstance(text, str) and text.isdigit() and text.isascii() and len(text) <= _PLAIN:
        found = float(text), ""  # most of what the kernel says, and no word in place of a value
    else:
        found = _number(gauge, text)
    if isinstance(found, Absent):
        return found
    number, written = found
    written = written or unit.lower()
    factor = FACTORS.get((spelled or {}).get(written, written))
    wanted = MEANINGS[quantity].unit
    if factor is None or (factor[0] is not wanted and written):
        return gauge.absent(Reason.UNPARSED, f"{str(text)[:80]!r} is not in {wanted}")
    return checked(gauge, quantity, _scaled(number, factor[1]))


def _number(gauge: Gauge, text: object) -> tuple[float, str] | Absent:
    """Return the number that is printed and the unit behind it, or why there is none."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return gauge.absent(Reason.UNPARSED, f"no number: {str(text)[:80]!r}")
    said = str(text)
    nothing = said_nothing(said, gauge.source)
    if nothing is not None:
        return nothing
    return number_in(said) or gauge.absent(Reason.UNPARSED, f"no number: {said[:80]!r}")


def _scaled(number: float, factor: float) -> float:
    """Return a number in base units; parts are divided, so that 41 % is 0.41."""
    return number * factor if factor >= 1 else number / round(1 / factor)
