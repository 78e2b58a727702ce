"""The use case of the record: plans that were made go into the local ledger and are read back."""

import os
import time
from difflib import get_close_matches
from getpass import getuser
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MissingError, UsageError
from hwledger.ledger.event import Event, new_id
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from hwledger.ledger.types import shipped_types
from hwledger.library.paths import data_dir, typed

if TYPE_CHECKING:
    from hwledger.ledger.chain import Entry
    from hwledger.ledger.store import Receipt
    from hwledger.planner.plan import Plan

PATIENCE_SECONDS: Final = 10.0
"""How long a plan waits for another that is being recorded."""
PLAN_CREATED: Final = "fleet.plan.created.v1"
KINDS: Final = ("model", "host")
_NEAR: Final = 5


def local_ledger() -> Path:
    """Return where the local ledger lies: ``HWLEDGER_LEDGER``, or ``ledger.db`` in the data folder.

    Raises:
        UsageError: ``HWLEDGER_LEDGER`` is an address and no file.
    """
    chosen = os.environ.get("HWLEDGER_LEDGER")
    if not chosen:
        return data_dir() / "ledger.db"
    if "://" in chosen:
        raise UsageError(
            f"HWLEDGER_LEDGER is {chosen.partition('://')[0]}://…; only a file can be one so far"
        )
    return typed(chosen)


def record_plan(plan: "Plan", printed: bytes, path: Path | None = None) -> "Receipt":
    """Add a plan to a ledger, which is made where there is none.

    Args:
        plan: the plan.
        printed: the plan as ``hwledger plan --json`` prints it in a pipe; only its SHA-256 is kept.
        path: the ledger; the local one where ``None``.

    Returns:
        Where it is, once it is durable.

    Raises:
        BusyError: another process writes to the ledger for longer than 10 s.
        HwledgerError: the ledger cannot be written.
    """
    event = plan_event(plan, printed, time.time_ns() // 1000, os.urandom(10), user_name())
    shipped_types().check(event)
    with SqliteStore(path or local_ledger(), patience_seconds=PATIENCE_SECONDS) as store:
        (receipt,) = store.append([event])
    return receipt


def plan_event(plan: "Plan", printed: bytes, moment: int, random_bytes: bytes, user: str) -> Event:
    """Return the event that a plan is, with what one looks for later; in whole numbers.

    Args:
        plan: the plan.
        printed: see ``record_plan``.
        moment: microseconds since 1970.
        random_bytes: 10, unpredictable.
        user: who planned.
    """
    request, memory, fit = plan.request, plan.memory, plan.fit
    told: dict[str, Any] = {
        "model": plan.spec.id,
        "model_source": plan.spec.source,
        "engine": plan.engine,
        "engine_version": request.version,
        "context_tokens": memory.context_tokens,
        "concurrency": memory.concurrency,
        "kv_cache_type": memory.kv_type,
        "devices": [device.name for device in request.devices],
        "total_bytes": plan.total_bytes,
        "verdict": fit.verdict.value if fit else None,
        "headroom_bytes": fit.headroom_bytes if fit else None,
        "sha256": sha256(printed).hexdigest(),
    }
    data = {name: value for name, value in told.items() if value is not None}
    name = printable_name(plan.spec.id)
    identity = new_id(moment, random_bytes)
    return Event(
        identity, source_name(user), PLAN_CREATED, f"model/{name}", moment, data, actor=f"user:{user}"
    )


def source_name(user: str) -> str:
    """Return the source of what a user of this machine records."""
    return f"spiffe://hwledger.local/user/{printable_name(user).replace(' ', '_')}"


def user_name() -> str:
    """Return who works here."""
    try:
        return getuser()
    except (OSError, KeyError, ImportError):  # no name is known for the number of this user
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def printable_name(text: str) -> str:
    """Return a name as subjects and sources take it: at most 1,000 characters, each printable."""
    return "".join(char if char.isprintable() else "?" for char in text)[:1000]


def history(name: str, path: Path | None = None, *, after: int = 0, limit: int = 100) -> "list[Entry]":
    """Return what is on record of a model or a host, oldest first.

    Args:
        name: as it was recorded: ``Qwen/Qwen3-32B``, a host's name; or ``model/…``, ``host/…``.
        path: the ledger; the local one where ``None``.
        after: only what was recorded after this sequence number.
        limit: how much at most.

    Raises:
        MissingError: there is no ledger, or nothing of that name in it; near names are in the sentence.
        AlteredError: an event is not what was written.
    """
    subjects = [name, *(f"{kind}/{name}" for kind in KINDS)]
    with SqliteReader(path or local_ledger()) as reader:
        pages = [reader.read(after, limit, subject=subject) for subject in subjects]
        found = sorted((entry for page in pages for entry in page), key=lambda entry: entry.seq)
        if not found and not any(reader.read(0, 1, subject=subject) for subject in subjects):
            known = [subject for kind in KINDS for subject in reader.subjects(f"{kind}/")]
            raise MissingError(f"nothing is on record of {name!r}; {_near(name, known)}")
    return found[:limit]


def _near(name: str, known: list[str]) -> str:
    names = {subject.partition("/")[2]: subject for subject in known}
    near = get_close_matches(name, names, _NEAR, 0.4) or list(names)[:_NEAR]
    return f"on record are: {', '.join(near)}" if near else "hwledger plan … --record puts a plan there"
