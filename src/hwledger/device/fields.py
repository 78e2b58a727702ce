"""Reading the values of a user's devices: sizes, rates and bandwidths, each with its unit."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.units import MIB, TIB, parse_size

MOST_TEXT: Final = 500
MOST_BANDWIDTH: Final = 10**15
LEAST_RATE: Final = 1e6
MOST_RATE: Final = 1e19
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGTPE]?)(?:i?FLOPS?|OPS?)?(?:/s)?", re.IGNORECASE)
_PER_SECOND: Final = re.compile(r"(.+?)\s*(?:/\s*s|ps)", re.IGNORECASE)
_PREFIXES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file a value is, for the sentence that says what is wrong with it.

    Attributes:
        origin: the file.
        text: its content.
        table: ``device`` or ``node``.
        index: which of them, from 0.
        name: what it is called, as far as that is known.
    """

    origin: str
    text: str
    table: str
    index: int
    name: str = ""

    def error(self, key: str, problem: str) -> MalformedError:
        """Return the error for a key: file, line, device, key, what is wrong and what to write."""
        line = self._line(key)
        where = f"{self.origin}, line {line}" if line else self.origin
        named = f" ({self.name!r})" if self.name else ""
        return MalformedError(f"{where}: {self.table} {self.index + 1}{named}, {key}: {problem}")

    def _line(self, key: str) -> int | None:
        """Return the line of the key, else that of its table; both as they are commonly written."""
        header = re.compile(rf"\s*\[\[\s*{self.table}\s*\]\]")
        wanted = re.compile(rf'\s*(\[\s*{self.table}\s*\.\s*)?"?{re.escape(key)}"?\s*[\].=]')
        seen, start = -1, None
        for number, line in enumerate(self.text.splitlines(), 1):
            if re.match(r"\s*\[\[", line):
                seen += bool(header.match(line))
                if seen == self.index and start is None:
                    start = number
                elif start is not None:
                    break
            elif start is not None and wanted.match(line):
                return number
        return start


@dataclass(frozen=True, slots=True)
class Fields:
    """The keys of one table; each is taken by what it is to be, and none may be left.

    Attributes:
        values: as the file has them.
        place: where they are.
    """

    values: Mapping[str, Any]
    place: Place

    def only(self, known: frozenset[str]) -> None:
        """Refuse keys that are not known.

        Raises:
            MalformedError: the first such key, with the known ones.
        """
        for key in self.values:
            if key not in known:
                raise self.place.error(key[:40], f"is not known; known: {', '.join(sorted(known))}")

    def text(self, key: str, default: str = "") -> str:
        """Return a text of at most 500 letters, in one line."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or len(value) > MOST_TEXT:
            raise self.place.error(key, f"is to be a text of at most {MOST_TEXT} letters")
        return " ".join(value.split())

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, or one as a list."""
        value = self.values.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(
            isinstance(v, str) and len(v) <= MOST_TEXT for v in listed
        ):
            raise self.place.error(key, 'is to be a list of texts, like ["2x RTX 3090"]')
        return tuple(listed)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return ``true`` or ``false``."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.place.error(key, "is to be true or false")
        return value

    def number(self, key: str, most: float, default: float | None = None) -> float | None:
        """Return a plain number from 0 to ``most``."""
        value = self.values.get(key, default)
        if value is None:
            return None
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
        if not good or not math.isfinite(value):
            raise self.place.error(key, f"is to be a number from 0 to {most:,.0f}")
        return float(value)

    def whole(self, key: str, most: int, default: int | None = None) -> int | None:
        """Return a whole number from 0 to ``most``."""
        value = self.number(key, most, default)
        if value is not None and value != int(value):
            raise self.place.error(key, f"is to be a whole number from 0 to {most:,}")
        return None if value is None else int(value)

    def size(self, key: str, default: int | None = None, least: int = MIB) -> int | None:
        """Return bytes of a size with its unit: ``"24GiB"``."""
        parsed = self._parsed(key, parse_size, '"24GiB"')
        return default if parsed is None else self._within(key, parsed, least, 1024 * TIB)

    def bandwidth(self, key: str, default: int | None = None) -> int | None:
        """Return bytes per second of a bandwidth with its unit: ``"936GB/s"``."""
        parsed = self._parsed(key, _bandwidth, '"936GB/s"')
        return default if parsed is None else self._within(key, parsed, 1, MOST_BANDWIDTH)

    def rates(self, key: str, types: tuple[str, ...]) -> dict[str, float]:
        """Return FLOP/s per number type: ``{ fp16 = "71T", int8 = "285 TOPS" }``."""
        value = self.values.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(kind, str) for kind in value):
            raise self.place.error(key, 'is to be a table like { fp16 = "71T" }')
        for kind in value:
            if kind not in types:
                raise self.place.error(key, f"{kind[:40]!r} is no number type; known: {', '.join(types)}")
        return {kind: self._rate(key, kind, told) for kind, told in value.items()}

    def _rate(self, key: str, kind: str, told: object) -> float:
        match = _RATE.fullmatch(told.strip()) if isinstance(told, str) and len(told) < MOST_TEXT else None
        value = float(match[1]) * _PREFIXES[match[2].lower()] if match else told
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not LEAST_RATE <= value <= MOST_RATE
        ):
            raise self.place.error(key, f'{kind} is to be operations per second, like "71T" or 71e12')
        return float(value)

    def _parsed(self, key: str, parse: Callable[[str], int], like: str) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > MOST_TEXT or value.strip()[-1:].isdigit():
            raise self.place.error(key, f"is to be a text with a unit, like {like}")
        try:
            return parse(value)
        except ValueError:
            raise self.place.error(key, f"{value[:40]!r} cannot be read; write it like {like}") from None

    def _within(self, key: str, value: int, least: int, most: int) -> int:
        if not least <= value <= most:
            raise self.place.error(key, f"{self.values[key][:40]!r} is out of range; check its unit")
        return value


def _bandwidth(text: str) -> int:
    match = _PER_SECOND.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return parse_size(match[1])
