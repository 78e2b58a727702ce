"""The use case of one's own accuracy: how right plans were on this machine, by what is on record of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hwledger.accuracy import Result
from hwledger.errors import HwledgerError
from hwledger.reconcile.term import Account, Expected, Reconciliation, Seen, Term
from hwledger.recording import Recalled, recalled_all
from hwledger.telemetry.quantity import Unit


@dataclass(frozen=True, slots=True)
class Mine:
    """Plans beside what was seen on this machine.

    Attributes:
        results: every pair that judges the plan.
        doubted: pairs that a busy machine kept from judging it.
        unreadable: reconciliations on record that cannot be read.
    """

    results: tuple[Result, ...]
    doubted: int = 0
    unreadable: int = 0


def mine(engines: Iterable[str] = (), path: Path | None = None) -> Mine:
    """Return what the record says of the plans.

    Args:
        engines: only these; all where empty.
        path: the ledger; the local one where ``None``.

    Raises:
        MissingError: there is no ledger.
    """
    wanted = frozenset(engines)
    results: list[Result] = []
    doubted = unreadable = 0
    for one in recalled_all(path):
        if isinstance(one, HwledgerError):
            unreadable += 1
        elif not wanted or wanted & {one.found.engine, one.found.planned_as}:
            results += _results(one)
            doubted += sum(_both(term) and bool(term.doubt) for term in one.found.terms)
    return Mine(tuple(results), doubted, unreadable)


def _both(pair: Term | Account) -> bool:
    seen = pair.seen if isinstance(pair, Term) else pair.whole
    return isinstance(pair.expected, Expected) and isinstance(seen, Seen)


def _results(one: Recalled) -> Iterator[Result]:
    for term in one.found.terms:
        if not term.doubt and isinstance(term.expected, Expected) and isinstance(term.seen, Seen):
            yield _result(one, term.name, term.unit, term.expected, term.seen)
    for account in one.found.accounts:
        if isinstance(account.expected, Expected) and isinstance(account.whole, Seen):
            yield _result(one, account.name, Unit.BYTES, account.expected, account.whole)


def _result(one: Recalled, name: str, unit: Unit, expected: Expected, seen: Seen) -> Result:
    half = max(seen.give, 0.5 if unit in {Unit.BYTES, Unit.TOKENS, Unit.COUNT} else 0.0)
    component, regime = name.replace("_", " "), _regime(one.found, expected)
    return Result(
        engine=one.found.engine, component=component, regime=regime, rounding=half, measured=seen.value,
        case=f"{one.found.model}, run {one.run}", predicted=expected.value,
        interval=(expected.low, expected.high), source=f"event {one.seq}: {seen.source}",
    )  # fmt: skip


def _regime(found: Reconciliation, expected: Expected) -> str:
    """Return the rules that planned, and how sure they were: runs of one's own make them calibrated."""
    own = "run of your own" in expected.source or "runs of your own" in expected.source
    return f"{found.planned_version}, {expected.basis.value}{' by own runs' if own else ''}"
