"""The screens of running: engines that are here, whether a model fits, and predicted beside measured."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hwledger.planner.fit import Verdict
from hwledger.planner.plan import Plan
from hwledger.reconcile.asked import Asked
from hwledger.reconcile.term import (
    UNEXPLAINED,
    Account,
    Expected,
    Part,
    Quality,
    Reconciliation,
    Seen,
    Term,
    Unknown,
)
from hwledger.runner.engine import Engine, Installation, NotInstalled, Timings
from hwledger.running import Prepared
from hwledger.screens.column import Column
from hwledger.screens.plan import VERDICTS, plan_screen
from hwledger.screens.speed import digits
from hwledger.telemetry.quantity import Unit
from hwledger.units import format_bytes, format_gib

ENGINE_COLUMNS: Final = (
    Column("engine"), Column("installed"), Column("computes on", wraps=True, rank=2),
    Column("can", wraps=True, rank=3), Column("where, or how to install it", wraps=True, rank=1),
)  # fmt: skip
TERM_COLUMNS: Final = (
    Column("term"), Column("planned", right=True), Column("80 % interval", right=True, rank=2),
    Column("basis", rank=3), Column("seen", right=True), Column("by", rank=1),
    Column("difference", right=True), Column(""),
)  # fmt: skip
UNKNOWN: Final = "–"


def engine_rows(found: Iterable[tuple[Engine, Installation | NotInstalled]]) -> list[tuple[str, ...]]:
    """Return a row of ``ENGINE_COLUMNS`` for each engine."""
    rows: list[tuple[str, ...]] = []
    for engine, here in found:
        can = ", ".join(sorted(engine.abilities))
        if isinstance(here, NotInstalled):
            rows.append((engine.title, "no", "", can, f"{here.why}; {here.install}"))
            continue
        on = ", ".join(here.devices) or "the processor"
        rows.append((engine.title, here.version or "yes", on, can, "; ".join((here.where, *here.notes))))
    return rows


def plan_line(prepared: Prepared) -> str:
    """Return what runs, in one line."""
    return plan_screen(prepared.plan).engine


def room_line(prepared: Prepared) -> str:
    """Return whether it fits, in one line."""
    if prepared.installed.runs:
        return "It runs already: whether it fits is not asked"
    if not prepared.on_host:
        return plan_screen(prepared.plan).verdict
    known = prepared.host_room_bytes
    room = "what the host has is not known" if known is None else f"{format_gib(known)} can be had now"
    word = VERDICTS[prepared.verdict] if prepared.verdict else "Not known whether it fits"
    return (
        f"{word}: needs {format_bytes(prepared.plan.total_bytes)} of host memory{_in_all(prepared)}; {room}"
    )


def _in_all(prepared: Prepared) -> str:
    """Return what the whole process will hold, and what says so where that is earlier runs."""
    process = prepared.process
    if process is None:
        return ""
    own = f", {process.rest.source}" if process.rest.runs else ""
    ends = f"{format_bytes(process.low)} … {format_bytes(process.high)}"
    return f", {format_bytes(process.value)} with its program ({ends}{own})"


def refusal(prepared: Prepared) -> str:
    """Return why a plan that does not fit is not run, with the way out; empty where it is run."""
    if prepared.verdict is not Verdict.DOES_NOT_FIT:
        return ""
    ways = plan_screen(_without_more_devices(prepared)).changes
    out = f"what would fit: {'; or '.join(ways)}" if ways else "no smaller context or cache makes it fit"
    return f"{room_line(prepared)}; {out}; --anyway runs it all the same"


def _without_more_devices(prepared: Prepared) -> Plan:
    """Return the plan whose changes are ways out on this machine: it has no more devices than it has."""
    made = prepared.on_host_device or prepared.plan
    if made.fit is None:
        return made
    changes = tuple(change for change in made.fit.changes if change.kind != "devices")
    return replace(made, fit=replace(made.fit, changes=changes))


def timing_line(timings: Timings) -> str:
    """Return how long a request took, in one line."""
    parts = [f"{timings.prompt_tokens:,} tokens of prompt{_at(timings.prefill_tokens_per_second)}"]
    if timings.cached_tokens:
        parts.append(f"{timings.cached_tokens:,} from the cache")
    parts.append(f"{timings.output_tokens:,} of answer{_at(timings.decode_tokens_per_second)}")
    if timings.ttft_seconds is not None:
        parts.append(f"the first after {digits(timings.ttft_seconds)} s")
    return ", ".join(parts)


def _at(rate: float | None) -> str:
    return "" if rate is None else f" at {digits(rate)} tokens/s"


@dataclass(frozen=True, slots=True)
class ReconciliationScreen:
    """Predicted beside measured.

    Attributes:
        title: model, engine and versions.
        rows: of ``TERM_COLUMNS``.
        accounts: one line each.
        unknown: why figures are missing, in sentences.
        notes: what to know before judging.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    accounts: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


def reconciliation_screen(found: Reconciliation) -> ReconciliationScreen:
    """Return the screen of a reconciliation."""
    seen = f", runs as {found.seen_version}" if found.seen_version else ""
    whys = [(term.name, side.why) for term in found.terms for side in (term.expected, term.seen)
            if isinstance(side, Unknown)]  # fmt: skip
    by_why: dict[str, list[str]] = {}
    for name, why in whys:
        by_why.setdefault(why, []).append(_name(name))
    return ReconciliationScreen(
        title=f"{found.model} on {found.engine}, planned as {found.planned_as} {found.planned_version}{seen}",
        rows=term_rows(found.terms),
        accounts=tuple(_account(account) for account in found.accounts),
        unknown=tuple(f"{', '.join(dict.fromkeys(names))}: {why}" for why, names in by_why.items()),
        notes=found.notes,
    )


def asked_title(asked: Asked) -> str:
    """Return who was asked, and both totals, in one line."""
    told = format_bytes(asked.total_bytes)
    return f"{asked.engine} {asked.version} itself would allocate {told} (measured: {asked.source}):"


def term_rows(terms: Iterable[Term]) -> tuple[tuple[str, ...], ...]:
    """Return a row of ``TERM_COLUMNS`` for each term."""
    return tuple(_row(term) for term in terms)


def _row(term: Term) -> tuple[str, ...]:
    return (_name(term.name), *_planned(term), *_seen(term), _difference(term), _judged(term))


def _name(name: str) -> str:
    return name.replace("_", " ")


def _planned(term: Term) -> tuple[str, str, str]:
    expected = term.expected
    if isinstance(expected, Unknown):
        return UNKNOWN, "", ""
    interval = "" if expected.low == expected.high else (
        f"{_amount(expected.low, term.unit)} … {_amount(expected.high, term.unit)}"
    )  # fmt: skip
    return _amount(expected.value, term.unit), interval, expected.basis.value


def _seen(term: Term) -> tuple[str, str]:
    if isinstance(term.seen, Unknown):
        return UNKNOWN, ""
    return _amount(term.seen.value, term.unit), f"{term.seen.source}, {term.seen.quality.value}"


def _difference(term: Term) -> str:
    if term.difference is None:
        return ""
    assert isinstance(term.expected, Expected)  # noqa: S101 - there is a difference
    assert isinstance(term.seen, Seen)  # noqa: S101 - likewise
    if abs(term.difference) <= term.seen.give:
        return "0 %"
    return f"{term.difference / term.expected.value:+.1%}" if term.expected.value else UNKNOWN


def _judged(term: Term) -> str:
    if term.doubt and isinstance(term.expected, Expected) and isinstance(term.seen, Seen):
        return "not judged"
    return {None: "", True: "as planned", False: "outside"}[term.inside]


def _amount(value: float, unit: Unit) -> str:
    if unit is Unit.BYTES:
        return format_bytes(value)
    return f"{digits(value)} tokens/s" if unit is Unit.TOKENS_PER_SECOND else f"{value:,.0f}"


def _account(account: Account) -> str:
    if isinstance(account.whole, Unknown):
        return f"{account.name}: not known ({account.whole.why})"
    parts = [
        f"{_name(part.name)} ({_told_by(part)}) {format_bytes(part.seen.value)}" for part in account.parts
    ]
    rest = f"{UNEXPLAINED} {format_bytes(account.unexplained or 0)} ({account.meaning})"
    whole = f"{format_bytes(account.whole.value)} ({account.whole.source})"
    return f"{account.name}: {whole} = {' + '.join([*parts, rest])}{_planned_whole(account)}"


def _told_by(part: Part) -> str:
    """Return where a part lies, and that it is expected and not seen where that is so."""
    expected = part.seen.quality in {Quality.CALIBRATED, Quality.ASSUMED}
    return f"{part.place}, {part.seen.quality.value}" if expected else part.place


def _planned_whole(account: Account) -> str:
    """Return what was planned for a whole, with the verdict; empty where nothing was."""
    expected = account.expected
    if isinstance(expected, Unknown):
        return ""
    ends = f"{format_bytes(expected.low)} … {format_bytes(expected.high)}"
    verdict = {None: "", True: ", as planned", False: ", outside"}[account.inside]
    return f"; planned {format_bytes(expected.value)} ({ends}, {expected.basis.value}{verdict})"
