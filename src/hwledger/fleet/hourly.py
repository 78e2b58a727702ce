"""Figures of an hour: count, least, most and sum of each column, which add up however they are split."""

from collections.abc import Mapping, Sequence
from typing import Any

Figures = dict[str, dict[str, float]]


def summed(columns: Mapping[str, Sequence[Any]]) -> Figures:
    """Return the figures of the columns that hold numbers; what is no number is passed over."""
    found = {}
    for name, values in columns.items():
        numbers = [
            value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)
        ]
        if numbers:
            found[name] = {
                "count": len(numbers), "least": min(numbers), "most": max(numbers), "sum": sum(numbers),
            }  # fmt: skip
    return found


def merged(left: Mapping[str, Mapping[str, float]], right: Mapping[str, Mapping[str, float]]) -> Figures:
    """Return the figures of both together."""
    found = {name: dict(figures) for name, figures in left.items()}
    for name, more in right.items():
        here = found.get(name)
        found[name] = dict(more) if here is None else {
            "count": here["count"] + more["count"], "least": min(here["least"], more["least"]),
            "most": max(here["most"], more["most"]), "sum": here["sum"] + more["sum"],
        }  # fmt: skip
    return found
