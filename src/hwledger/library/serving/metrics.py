"""Prometheus' text format and OpenMetrics, read line by line: a damaged line loses itself and nothing else.

Sources: the Prometheus documentation "Exposition formats", version 0.0.4; OpenMetrics 1.0 (exemplars, stamps
in seconds); Prometheus 3 (names in quotes within the braces).
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]{0,255}")
_LABEL: Final = re.compile(
    r'\s*(?:(?P<key>[A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\\n]|\\.)*")\s*=\s*)?"(?P<value>(?:[^"\\\n]|\\.)*)"'
    r"\s*(?:,|(?=\}))"
)
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "\\": "\\", '"': '"'}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_NO_VALUE: Final = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_LONGEST_NUMBER: Final = 64
_LONGEST_LINE: Final = 64 << 10
LARGEST_PAGE: Final = 8 << 20
MOST_SERIES: Final = 100_000
_MOST_LABELS: Final = 1024
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a page.

    Attributes:
        name: of the metric.
        labels: its labels; escapes are resolved.
        value: its number; ``None`` where the page says NaN or infinity, which is no measurement.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of metrics holds.

    Attributes:
        series: every line that is whole, in order.
        damaged: lines that are none, comments and blanks aside.
        cut: the page is larger than is read.
    """

    series: tuple[Series, ...] = ()
    damaged: int = 0
    cut: bool = False


def read_page(text: str, wanted: Collection[str] | None = None) -> Page:
    """Return the series of a page.

    Order of labels, blanks, missing HELP and TYPE lines, time stamps, exemplars and line ends of Windows do
    not matter. At most 8 Mi characters and 100,000 series are read, of lines up to 64 KiB.

    Args:
        text: the page.
        wanted: names that are read; lines of others are passed over unread. ``None``: all of them.
    """
    cut = len(text) > LARGEST_PAGE
    found: list[Series] = []
    damaged = 0
    for line in _lines(text[:LARGEST_PAGE]):
        name = _NAME.match(line)
        if name is not None and wanted is not None and name[0] not in wanted:
            continue
        series = _series(line, name)
        if series is None:
            damaged += 1
        elif wanted is None or series.name in wanted:
            found.append(series)
        if len(found) >= MOST_SERIES:
            return Page(tuple(found), damaged, cut=True)
    return Page(tuple(found), damaged, cut)


def labels_of(text: str, metric: str) -> list[dict[str, str]]:
    """Return the labels of every line of ``metric`` that has braces, whatever its value; at most 1,024.

    Lines whose braces are broken are left out; what stands behind the braces does not matter.
    """
    found: list[dict[str, str]] = []
    for line in _lines(text):
        if line.startswith(metric) and len(found) < _MOST_LABELS:
            rest = line[len(metric) :].lstrip()
            labels = _labels(rest) if rest.startswith("{") else None
            if labels is not None and not labels[2]:
                found.append(labels[0])
    return found


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        plain = line.strip()
        if plain and not plain.startswith("#") and len(plain) <= _LONGEST_LINE:
            yield plain


def _series(line: str, name: re.Match[str] | None) -> Series | None:
    rest = line[name.end() :].lstrip() if name is not None else line
    labels: dict[str, str] = {}
    called = name[0] if name is not None else ""
    if rest.startswith("{"):
        read = _labels(rest)
        if read is None:
            return None
        labels, rest, quoted = read
        called = called or quoted
    elif name is None or rest == line[name.end() :]:  # a blank stands between a name and its number
        return None
    number = rest.split(None, 1)[0] if rest.strip() else ""
    if not called or not _is_tail(rest[len(number) :] if number else ""):
        return None
    if number.lower() in _NO_VALUE:
        return Series(called, labels, None)
    value = _number(number)
    return None if value is None else Series(called, labels, value)


def _number(text: str) -> float | None:
    if len(text) > _LONGEST_NUMBER or not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _is_tail(text: str) -> bool:
    """Whether what stands behind a number is nothing, a time stamp, an exemplar or both."""
    words = text.partition("#")[0].split()
    return not words or (len(words) == 1 and _number(words[0]) is not None)


def _labels(text: str) -> tuple[dict[str, str], str, str] | None:
    """Return the labels between braces at the beginning of ``text``, what is behind, and a name in quotes.

    ``None`` where the braces do not close.
    """
    at, quoted = 1, ""
    found: dict[str, str] = {}
    while match := _LABEL.match(text, at):
        value = _plain(match["value"])
        key = match["key"]
        if key is None and (quoted or found):
            return None
        if key is None:
            quoted = value
        else:
            found[_plain(key[1:-1]) if key.startswith('"') else key] = value
        at = match.end()
    rest = text[at:].lstrip()
    return (found, rest[1:].lstrip(), quoted) if rest.startswith("}") else None


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), text) if "\\" in text else text
