"""A reconciliation as JSON: ``hwledger.reconciliation/1``; its schema lies in ``schemas/``."""

from dataclasses import asdict
from typing import Any, Final

from hwledger.reconcile.term import UNEXPLAINED, Account, Expected, Part, Reconciliation, Seen, Term, Unknown

SCHEMA: Final = "hwledger.reconciliation/1"


def reconciliation_document(found: Reconciliation) -> dict[str, Any]:
    """Return a reconciliation for JSON; what is not known is null, with the reason beside it."""
    return {
        "schema": SCHEMA,
        "model": found.model,
        "engine": found.engine,
        "planned_as": found.planned_as,
        "planned_version": found.planned_version,
        "seen_version": found.seen_version or None,
        "planned_bytes": found.planned_bytes,
        "terms": [term_document(term) for term in found.terms],
        "accounts": [_account(account) for account in found.accounts],
        "notes": list(found.notes),
    }


def term_document(term: Term) -> dict[str, Any]:
    """Return one term for JSON."""
    return {
        "name": term.name, "unit": term.unit.value, "expected": _expected(term.expected),
        "seen": _seen(term.seen), "difference": term.difference, "inside": term.inside,
        "doubt": term.doubt or None,
    }  # fmt: skip


def _expected(expected: Expected | Unknown) -> dict[str, Any]:
    if isinstance(expected, Unknown):
        return {"value": None, "why": expected.why}
    return {
        "value": expected.value, "interval": [expected.low, expected.high], "basis": expected.basis.value,
        "source": expected.source,
    }  # fmt: skip


def _seen(seen: Seen | Unknown) -> dict[str, Any]:
    return {"value": None, "why": seen.why} if isinstance(seen, Unknown) else asdict(seen)


def _account(account: Account) -> dict[str, Any]:
    return {
        "name": account.name, "whole": _seen(account.whole), "parts": [_part(part) for part in account.parts],
        UNEXPLAINED: account.unexplained, "meaning": account.meaning,
        "expected": _expected(account.expected), "inside": account.inside,
    }  # fmt: skip


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "place": part.place, **asdict(part.seen)}
