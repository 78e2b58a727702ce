"""The ledger screen: events, what a check found, proofs and checkpoints; lines, rows and documents."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.ledger.audit import Report
from hwledger.ledger.chain import Entry
from hwledger.ledger.event import Event, event_of, time_text
from hwledger.ledger.note import Checkpoint
from hwledger.ledger.types import PREFIX
from hwledger.reconcile.record import THOUSANDTHS, read_record
from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.units import format_bytes

EVENTS_SCHEMA: Final = "hwledger.events/1"
VERIFY_SCHEMA: Final = "hwledger.ledger-verify/1"
PROOF_SCHEMA: Final = "hwledger.ledger-proof/1"
EVENT_HEADS: Final = (
    Column("seq", right=True), Column("time", rank=1), Column("type"), Column("subject"),
    Column("by", rank=2), Column("data", wraps=True, rank=3),
)  # fmt: skip

HISTORY_HEADS: Final = (
    Column("seq", right=True), Column("time"), Column("what"), Column("by", rank=3),
    Column("particulars", wraps=True, rank=1),
)  # fmt: skip


def history_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Return a row per event of one model or host, as in ``HISTORY_HEADS``."""
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        event = event_of(entry.body)
        seq, moment, kind, _, by, told = _row(entry.seq, event)
        tell = _TOLD.get(kind.partition(".v")[0])
        rows.append((seq, moment, kind, by, tell(event) if tell else told))
    return rows


def _plan_told(event: Event) -> str:
    """Return a recorded plan in a line; what an event of others lacks is left out."""
    data = event.data
    devices = data.get("devices") or []
    engine = " ".join(str(data[name]) for name in ("engine", "engine_version") if data.get(name))
    where = f"on {', '.join(map(str, devices))}" if devices else ""
    context, total = data.get("context_tokens"), data.get("total_bytes")
    sizes = (
        f"{context} tokens" if isinstance(context, int) else "",
        f"x {data['concurrency']}" if data.get("concurrency", 1) != 1 else "",
        format_bytes(total) if isinstance(total, int) else "",
        str(data.get("verdict", "")),
    )
    return " ".join(part for part in (engine, where, *sizes) if part)


def _started_told(event: Event) -> str:
    """Return a run that began in a line."""
    data = event.data
    engine = " ".join(str(data[name]) for name in ("engine", "engine_version") if data.get(name))
    context, planned = data.get("context_tokens"), data.get("planned_bytes")
    sizes = (
        f"{context} tokens" if isinstance(context, int) else "",
        f"planned {format_bytes(planned)}" if isinstance(planned, int) else "",
    )
    return " ".join(part for part in (f"run {data.get('run', '')}:", engine, *sizes) if part)


def _finished_told(event: Event) -> str:
    """Return how a run ended in a line, with its speed."""
    data = event.data
    words = (("prompt_tokens", "tokens of prompt"), ("output_tokens", "tokens of answer"))
    counts = (f"{data[name]:,} {word}" for name, word in words if isinstance(data.get(name), int))
    rates = (
        f"{name} {digits(data[key] / THOUSANDTHS)} tokens/s"
        for name in ("prefill", "decode")
        if isinstance(data.get(key := f"{name}_thousandths_per_second"), int)
    )
    why = (str(data["reason"]),) if data.get("reason") else ()
    return ", ".join((f"run {data.get('run', '')}: {data.get('ending', '')}", *counts, *rates, *why))


def _reconciled_told(event: Event) -> str:
    """Return a reconciliation in a line: how many terms came out as planned."""
    try:
        found = read_record(event.data)
    except MalformedError:
        return f"run {event.data.get('run') or event.id}: not readable"
    judged = [term.inside for term in found.terms if term.inside is not None]
    outside = [term.name.replace("_", " ") for term in found.terms if term.inside is False]
    said = f"{sum(judged)} of {len(judged)} figures as planned"
    rest = f"; outside: {', '.join(outside)}" if outside else ""
    return f"run {event.data.get('run') or event.id}: {said}{rest}"


_FEW, _LINE = 4, 60
_TOLD: Final[dict[str, Callable[[Event], str]]] = {
    "plan.created": _plan_told, "run.started": _started_told, "run.finished": _finished_told,
    "reconciliation.made": _reconciled_told,
}  # fmt: skip


def event_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Return a row per event, as in ``EVENT_HEADS``."""
    return [_row(entry.seq, event_of(entry.body)) for entry in entries]


def _row(seq: int, event: Event) -> tuple[str, ...]:
    told = ", ".join(f"{name} {_short(value)}" for name, value in event.data.items())
    moment = time_text(event.time_microseconds)
    by = event.actor or event.source
    return (
        str(seq),
        f"{moment[:10]} {moment[11:19]}",
        event.type.removeprefix(PREFIX),
        event.subject,
        by,
        told,
    )


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"[{len(value)}]"
    if isinstance(value, dict):
        plain = 0 < len(value) <= _FEW and all(isinstance(each, str) for each in value.values())
        named = " ".join(f"{name}={each}" for name, each in sorted(value.items())) if plain else ""
        return named if named and len(named) <= _LINE else f"{{{len(value)}}}"
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)  # noqa: PLR2004 - a hash


def event_document(entries: Sequence[Entry], origin: str) -> dict[str, Any]:
    """Return events as ``hwledger.events/1``."""
    found = [
        {"seq": entry.seq, "leaf": entry.leaf.hex(), "chain": entry.chain.hex(), "body": entry.body.decode()}
        for entry in entries
    ]
    return {"schema": EVENTS_SCHEMA, "origin": origin, "events": found}


def verify_lines(report: Report, path: str) -> list[str]:
    """Return what a check found, in sentences; with what it could not find."""
    events = f"{report.head.seq:,} event{'' if report.head.seq == 1 else 's'}"
    lines = [
        f"whole: {path}",
        f"ledger {report.origin}, {events}",
        f"root {base64.b64encode(report.root).decode()}",
        f"checkpoints kept in the file: {report.kept}",
    ]
    if report.seen is None:
        return [*lines, "no checkpoint from outside was given: an end that was cut off could not be noticed"]
    return [*lines, f"continues the checkpoint of {report.seen:,} that was seen outside of the file"]


def verify_document(report: Report) -> dict[str, Any]:
    """Return what a check found as ``hwledger.ledger-verify/1``."""
    return {
        "schema": VERIFY_SCHEMA,
        "origin": report.origin,
        "size": report.head.seq,
        "chain": report.head.chain.hex(),
        "root": base64.b64encode(report.root).decode(),
        "checkpoints_kept": report.kept,
        "checkpoint_seen": report.seen,
    }


def proof_document(
    shown: Checkpoint, entry: Entry, hashes: Sequence[bytes], note: str | None
) -> dict[str, Any]:
    """Return an inclusion proof as ``hwledger.ledger-proof/1``; hashes in base64, from the leaf up."""
    return {
        "schema": PROOF_SCHEMA,
        "origin": shown.origin,
        "seq": entry.seq,
        "index": entry.seq - 1,
        "size": shown.size,
        "leaf": base64.b64encode(entry.leaf).decode(),
        "hashes": [base64.b64encode(one).decode() for one in hashes],
        "root": base64.b64encode(shown.root).decode(),
        "checkpoint": note,
        "body": entry.body.decode(),
    }


def proof_lines(document: dict[str, Any]) -> list[str]:
    """Return a proof for people."""
    signed = "signed" if document["checkpoint"] else "not signed; hwledger ledger checkpoint signs it"
    return [
        f"event {document['seq']} is in the ledger {document['origin']} of {document['size']:,} events",
        f"leaf {document['leaf']}",
        *(f"  with {one}" for one in document["hashes"]),
        f"root {document['root']} ({signed})",
    ]
