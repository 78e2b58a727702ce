"""A reconciliation as an event keeps it, in whole numbers, and back.

Bytes, tokens and counts are whole; tokens per second are in thousandths. Ends of intervals and the give of a
source are rounded outwards, so that what was inside stays inside.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.planner.memory import Basis
from hwledger.reconcile.term import (
    NOT_PLANNED,
    Account,
    Expected,
    Part,
    Quality,
    Reconciliation,
    Seen,
    Term,
    Unknown,
)
from hwledger.telemetry.quantity import Unit

THOUSANDTHS: Final = 1000
LONGEST: Final = 400
"""Characters of a sentence that are kept: sources of a plan repeat for each device."""


def recorded(found: Reconciliation) -> dict[str, Any]:
    """Return the data of an event that holds a reconciliation; whole numbers and text alone."""
    return {
        "model": found.model, "engine": found.engine, "planned_as": found.planned_as,
        "planned_version": found.planned_version, "seen_version": found.seen_version,
        "planned_bytes": round(found.planned_bytes),
        "terms": [_term(term) for term in found.terms],
        "accounts": [_account(account) for account in found.accounts],
        "notes": [note[:LONGEST] for note in found.notes],
    }  # fmt: skip


def read_record(data: Mapping[str, Any]) -> Reconciliation:
    """Return the reconciliation that the data of an event holds.

    Raises:
        MalformedError: it holds none.
    """
    try:
        return Reconciliation(
            model=str(data["model"]), engine=str(data["engine"]), planned_as=str(data["planned_as"]),
            planned_version=str(data["planned_version"]), seen_version=str(data.get("seen_version") or ""),
            terms=tuple(_read_term(one) for one in data["terms"]),
            accounts=tuple(_read_account(one) for one in data["accounts"]),
            notes=tuple(str(note) for note in data["notes"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedError(
            "this event holds no reconciliation that can be read; hwledger events shows it as it is"
        ) from None


def scale_of(unit: Unit) -> int:
    """Return by how much a number of a unit is multiplied where it is kept."""
    return THOUSANDTHS if unit is Unit.TOKENS_PER_SECOND else 1


def _term(term: Term) -> dict[str, Any]:
    scale = scale_of(term.unit)
    return {
        "name": term.name, "unit": term.unit.value,
        "expected": _expected(term.expected, scale), "seen": _seen(term.seen, scale),
        **({"doubt": term.doubt[:LONGEST]} if term.doubt else {}),
    }  # fmt: skip


def _expected(expected: Expected | Unknown, scale: int) -> dict[str, Any]:
    if isinstance(expected, Unknown):
        return {"why": expected.why[:LONGEST]}
    return {
        "value": round(expected.value * scale), "low": floor(expected.low * scale),
        "high": ceil(expected.high * scale), "basis": expected.basis.value,
        "source": expected.source[:LONGEST],
    }  # fmt: skip


def _seen(seen: Seen | Unknown, scale: int) -> dict[str, Any]:
    if isinstance(seen, Unknown):
        return {"why": seen.why[:LONGEST]}
    return {
        "value": round(seen.value * scale), "quality": seen.quality.value, "source": seen.source[:LONGEST],
        "give": ceil(seen.give * scale),
    }  # fmt: skip


def _account(account: Account) -> dict[str, Any]:
    parts = [{"name": one.name, "place": one.place, **_seen(one.seen, 1)} for one in account.parts]
    return {
        "name": account.name,
        "whole": _seen(account.whole, 1),
        "parts": parts,
        "meaning": account.meaning,
        "expected": _expected(account.expected, 1),
    }


def _read_term(told: Mapping[str, Any]) -> Term:
    unit = Unit(told["unit"])
    scale = scale_of(unit)
    return Term(
        str(told["name"]), unit, _read_expected(told["expected"], scale), _read_seen(told["seen"], scale),
        str(told.get("doubt") or ""),
    )  # fmt: skip


def _read_expected(told: Mapping[str, Any], scale: int) -> Expected | Unknown:
    if "why" in told:
        return Unknown(str(told["why"]))
    value, low, high = (int(told[name]) / scale for name in ("value", "low", "high"))
    return Expected(value, low, high, Basis(told["basis"]), str(told["source"]))


def _read_seen(told: Mapping[str, Any], scale: int) -> Seen | Unknown:
    if "why" in told:
        return Unknown(str(told["why"]))
    return Seen(
        int(told["value"]) / scale, Quality(told["quality"]), str(told["source"]), int(told["give"]) / scale
    )


def _read_account(told: Mapping[str, Any]) -> Account:
    parts: Sequence[Mapping[str, Any]] = told["parts"]
    return Account(
        str(told["name"]), _read_seen(told["whole"], 1), tuple(map(_read_part, parts)), str(told["meaning"]),
        _read_expected(told["expected"], 1) if "expected" in told else NOT_PLANNED,
    )  # fmt: skip


def _read_part(told: Mapping[str, Any]) -> Part:
    seen = _read_seen(told, 1)
    if isinstance(seen, Unknown):
        raise TypeError("a part has a size")
    return Part(str(told["name"]), str(told["place"]), seen)
