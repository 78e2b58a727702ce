"""How each version of each program spells its flags and values: ``data/flags.csv`` and ``data/values.csv``.

``since`` and ``until`` are the first and the last version that a spelling was seen in; what lies outside
is not known, and so is not written.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache

from hwledger.planner.export.words import plain
from hwledger.shipped import shipped_text

Row = Mapping[str, str]


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of one of the data files of this package."""
    text = shipped_text("hwledger.planner.export", f"data/{name}.csv")
    return tuple(csv.DictReader(text.splitlines()))


def spell(target: str, option: str, value: object, version: str) -> tuple[str, ...] | None:
    """Return the words that set ``option``; none where nothing has to be said, ``None``: not possible.

    A switch that is off needs no words where the program has no word for off.
    """
    row = _row(_by_option(target).get(option, ()), version)
    if row is None:
        return None
    if isinstance(value, bool):
        return tuple((row["flag"] if value else row["off"]).split())
    return (*row["flag"].split(), plain(value))


def word_of(target: str, setting: str, value: str, version: str) -> str | None:
    """Return the program's own word for a value of the plan (``nf4`` is ``bitsandbytes``), or ``None``."""
    found = [
        row
        for row in rows("values")
        if (row["target"], row["setting"], row["value"].lower()) == (target, setting, value.lower())
    ]
    row = _row(found, version)
    return row["word"] if row else None


def words_of(target: str, setting: str, version: str) -> tuple[str, ...]:
    """Return the values of the plan that the program has a word for in this version."""
    named = dict.fromkeys(
        row["value"] for row in rows("values") if (row["target"], row["setting"]) == (target, setting)
    )
    return tuple(value for value in named if word_of(target, setting, value, version))


def unreadable(target: str, form: str, version: str) -> str | None:
    """Return what to do instead where the program cannot read that format or packing, or ``None``."""
    found = [row for row in rows("unreadable") if row["target"] == target and row["form"] == form]
    row = _row(found, version)
    return row["instead"] if row else None


@cache
def _by_option(target: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows("flags"):
        if row["target"] == target:
            found.setdefault(row["option"], []).append(row)
    return found


def _row(found: Sequence[Row], version: str) -> Row | None:
    """Return the row whose versions include ``version``; any version where the program has none."""
    at = _numbers(version)
    for row in found:
        started = not at or _numbers(row["since"]) <= at
        ended = at and row["until"] and at > _numbers(row["until"])
        if started and not ended:
            return row
    return None


def _numbers(version: str) -> tuple[int, ...]:
    found = [int(part) for part in re.findall(r"\d+", version)[:3]]
    return (*found, 0, 0)[:3] if found else ()
