"""The use case of the record: plans that were made go into the local ledger and are read back."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from getpass import getuser
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hwledger.errors import MissingError
from hwledger.ledger.event import Event, new_id, time_text
from hwledger.ledger.opening import file_of, open_reader, open_store
from hwledger.ledger.types import shipped_types
from hwledger.library.paths import data_dir, typed

if TYPE_CHECKING:
    from hwledger.fleet.client import Client
    from hwledger.ledger.chain import Entry
    from hwledger.planner.plan import Plan

PATIENCE_SECONDS: Final = 10.0
"""How long a plan waits for another that is being recorded."""
PLAN_CREATED: Final = "fleet.plan.created.v1"
KINDS: Final = ("model", "host")
_NEAR: Final = 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a plan is on record.

    Attributes:
        seq: the number of its event.
        ledger: the ledger, as it can be printed.
    """

    seq: int
    ledger: str


class Listed(Protocol):
    """A ledger that can be read and tells its subjects."""

    def read(
        self, after: int = 0, limit: int = 100, *, types: Sequence[str] = (), subject: str = ""
    ) -> "list[Entry]":
        """Return entries, as the port of stores says."""

    def subjects(self, prefix: str) -> list[str]:
        """Return the different subjects that begin with a text."""


def local_ledger() -> Path | str:
    """Return where the local ledger is: ``HWLEDGER_LEDGER``, or ``ledger.db`` in the data folder.

    Raises:
        UsageError: ``HWLEDGER_LEDGER`` is an address that no ledger has.
    """
    chosen = os.environ.get("HWLEDGER_LEDGER")
    return ledger_at(chosen) if chosen else data_dir() / "ledger.db"


def ledger_at(text: str) -> Path | str:
    """Return the ledger that people mean by a text: a file, or an address of PostgreSQL.

    Raises:
        UsageError: it is an address that no ledger has.
    """
    path = file_of(text)
    if path is None:
        return text
    return path if text.startswith("sqlite:") else typed(text)


def record_plan(plan: "Plan", printed: bytes, path: Path | str | None = None) -> "Recorded":
    """Add a plan to a ledger, which is made where there is none.

    Args:
        plan: the plan.
        printed: the plan as ``hwledger plan --json`` prints it in a pipe; only its SHA-256 is kept.
        path: the ledger; the local one where ``None``.

    Returns:
        Which event it is, and of which ledger, once it is durable.

    Raises:
        BusyError: another process writes to the ledger for longer than 10 s.
        HwledgerError: the ledger cannot be written.
    """
    event = plan_event(plan, printed, time.time_ns() // 1000, os.urandom(10), user_name())
    shipped_types().check(event)
    return put_on_record(event, path, PATIENCE_SECONDS)


def put_on_record(event: Event, path: Path | str | None, patience_seconds: float) -> Recorded:
    """Add an event to a ledger; where a server has the local one, through the server, in its user's name.

    Args:
        event: whole, checked against its type.
        path: the ledger; the local one where ``None``.
        patience_seconds: how long to wait for another process that writes.

    Raises:
        HwledgerError: it cannot be added.
    """
    if path is None and is_served():
        return _sent(event)
    with open_store(path or local_ledger(), patience_seconds=patience_seconds) as store:
        (receipt,) = store.append([event])
        return Recorded(receipt.seq, store.name)


def is_served() -> bool:
    """Return whether a server has the ledger that is meant where none is named.

    That is one that ``HWLEDGER_SERVER`` names, or one that runs on this machine, on whatever ledger; another
    that ``HWLEDGER_LEDGER`` names is read and written as a file.
    """
    from hwledger.fleet.client import SERVER  # noqa: PLC0415 - start-up time
    from hwledger.fleet.running import found_running, is_running  # noqa: PLC0415 - start-up time

    if os.environ.get(SERVER):
        return True
    if not is_running(data_dir()):
        return False
    running = found_running(data_dir())
    chosen = local_ledger() if os.environ.get("HWLEDGER_LEDGER") else None
    return running is not None and (chosen is None or ledger_name(chosen) == running.ledger)


def ledger_name(ledger: Path | str) -> str:
    """Return a ledger as a server says which one it has: a whole path, or an address without password.

    Raises:
        UsageError: it is an address that no ledger has.
    """
    if isinstance(ledger, Path):
        return str(ledger.absolute())
    from hwledger.ledger.postgresql.connecting import Address  # noqa: PLC0415 - an extra

    return Address.read(ledger).name


def asked_server() -> "Client":
    """Return the server that has the ledger, to ask.

    Raises:
        HwledgerError: there is none, or no token for it.
    """
    from hwledger.fleet.client import Client, Entrance  # noqa: PLC0415 - start-up time

    return Client(Entrance.found(data_dir()))


def _sent(event: Event) -> Recorded:
    moment, server = time_text(event.time_microseconds), asked_server()
    told = {"id": event.id, "type": event.type, "subject": event.subject, "time": moment}
    (made,) = server.post("/v1/events", {**told, "data": dict(event.data)})["events"]
    return Recorded(int(made["seq"]), f"the ledger of {server.address}")


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


def history(name: str, path: Path | str | None = None, *, after: int = 0, limit: int = 100) -> "list[Entry]":
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
    with open_reader(path or local_ledger()) as reader:
        return history_in(reader, name, after=after, limit=limit)


def history_in(store: "Listed", name: str, *, after: int = 0, limit: int = 100) -> "list[Entry]":
    """Return what is on record of a model or a host in an open ledger, as ``history``."""
    subjects = [name, *(f"{kind}/{name}" for kind in KINDS)]
    pages = [store.read(after, limit, subject=subject) for subject in subjects]
    found = sorted((entry for page in pages for entry in page), key=lambda entry: entry.seq)
    if not found and not any(store.read(0, 1, subject=subject) for subject in subjects):
        known = [subject for kind in KINDS for subject in store.subjects(f"{kind}/")]
        raise MissingError(f"nothing is on record of {name!r}; {_near(name, known)}")
    return found[:limit]


def _near(name: str, known: list[str]) -> str:
    names = {subject.partition("/")[2]: subject for subject in known}
    near = get_close_matches(name, names, _NEAR, 0.4) or list(names)[:_NEAR]
    return f"on record are: {', '.join(near)}" if near else "hwledger plan … --record puts a plan there"
