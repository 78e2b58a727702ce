"""The use case of runs on record: what ran, and what it said of its plan, into the local ledger and back.

A run never fails for its record: a ledger that is held by another process, broken or not to be written is
one sentence, and the run goes on.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import AmbiguousError, HwledgerError, MissingError, UsageError
from hwledger.history import local_ledger, printable_name, put_on_record, source_name, user_name
from hwledger.ledger.event import Event, event_of, new_id
from hwledger.ledger.opening import open_reader
from hwledger.ledger.types import shipped_types
from hwledger.reconcile.record import THOUSANDTHS, read_record, recorded
from hwledger.reconcile.term import Reconciliation
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import number_of

if TYPE_CHECKING:
    from hwledger.runner.engine import Timings
    from hwledger.running import Prepared
    from hwledger.telemetry.snapshot import HostSnapshot

STARTED: Final = "fleet.run.started.v1"
FINISHED: Final = "fleet.run.finished.v1"
RECONCILED: Final = "fleet.reconciliation.made.v1"
LAST: Final = "last"
PATIENCE_SECONDS: Final = 2.0
"""How long a run waits for a ledger that another process writes."""
SHORTEST: Final = 4
"""Characters of an id that name a run."""
_PAGE: Final = 1000
_MICROS: Final = 1_000_000


class Recorder:
    """Puts one run, or one reconciliation, into a ledger.

    Args:
        keep: whether to; nothing is touched where not.
        say: is given a sentence, once, where the ledger cannot be written.
        path: the ledger; the local one where ``None``.

    Attributes:
        run: id of the run.
        kept: something of it is in the ledger.
    """

    def __init__(
        self, say: Callable[[str], None], path: Path | str | None = None, *, keep: bool = True
    ) -> None:
        self.run = new_id(time.time_ns() // 1000, os.urandom(10))
        self.kept = False
        self._say, self._path, self._works = say, path, keep
        self._told: dict[str, Any] = {}
        self._over = False

    def started(self, prepared: "Prepared", before: "HostSnapshot") -> None:
        """Record that a run begins."""
        made = prepared.plan
        self._told = {"run": self.run, "model": made.spec.id, "engine": made.engine}
        load = number_of(before[Quantity.LOAD])
        self._add(STARTED, self.run, {
            **self._told, "model_source": made.spec.source, "engine_version": made.request.version,
            "context_tokens": made.memory.context_tokens, "concurrency": made.memory.concurrency,
            "kv_cache_type": made.memory.kv_type, "devices": [each.name for each in made.request.devices],
            "planned_bytes": made.total_bytes,
            "verdict": prepared.verdict.value if prepared.verdict else None,
            "load_thousandths": None if load is None else round(load * THOUSANDTHS),
        })  # fmt: skip

    def finished(self, ending: str, timings: "Timings | None" = None, why: str = "") -> None:
        """Record that the run is over, once; ``ending``: of ``Ending``, or ``failed`` or ``interrupted``."""
        if self._over or not self._told:
            return
        self._over = True
        self._add(
            FINISHED, "", {**self._told, "ending": ending, "reason": why[:400] or None, **_timed(timings)}
        )

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Record how a run ends that does not end by itself."""
        try:
            yield
        except HwledgerError as error:
            self.finished("failed", why=str(error))
            raise
        except BaseException as error:
            self.finished("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise

    def reconciled(self, found: Reconciliation) -> None:
        """Record what was seen beside what was planned."""
        run = {"run": self.run} if self._told else {}
        self._told = self._told or {"model": found.model}
        self._add(RECONCILED, "" if run else self.run, {**recorded(found), **run})

    def _add(self, kind: str, identity: str, told: Mapping[str, Any]) -> None:
        if not self._works:
            return
        try:
            event = _event(kind, identity, {name: value for name, value in told.items() if value is not None})
            shipped_types().check(event)
            put_on_record(event, self._path, PATIENCE_SECONDS)
            self.kept = True
        except (HwledgerError, OSError) as error:
            self._works = False
            self._say(f"this is not put on record ({error})")


def _event(kind: str, identity: str, data: dict[str, Any]) -> Event:
    moment, user = time.time_ns() // 1000, user_name()
    return Event(
        identity or new_id(moment, os.urandom(10)), source_name(user), kind,
        f"model/{printable_name(str(data['model']))}", moment, data, actor=f"user:{user}",
    )  # fmt: skip


def _timed(timings: "Timings | None") -> dict[str, Any]:
    """Return what was timed, in whole numbers."""
    if timings is None:
        return {}
    prefill, decode, ttft = (
        timings.prefill_tokens_per_second, timings.decode_tokens_per_second, timings.ttft_seconds
    )  # fmt: skip
    return {
        "prompt_tokens": timings.prompt_tokens, "cached_tokens": timings.cached_tokens,
        "output_tokens": timings.output_tokens, "timed_by": timings.source,
        "prefill_thousandths_per_second": None if prefill is None else round(prefill * THOUSANDTHS),
        "decode_thousandths_per_second": None if decode is None else round(decode * THOUSANDTHS),
        "ttft_microseconds": None if ttft is None else round(ttft * _MICROS),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recalled:
    """A reconciliation that is on record.

    Attributes:
        run: its id.
        seq: its place in the ledger.
        time_microseconds: when it was made.
        found: itself.
    """

    run: str
    seq: int
    time_microseconds: int
    found: Reconciliation


def recall(name: str, path: Path | str | None = None) -> Recalled:
    """Return the reconciliation of a run.

    Args:
        name: the id of the run, or enough of its beginning or end; ``last``: the latest one.
        path: the ledger; the local one where ``None``.

    Raises:
        UsageError: the name is too short for an id.
        AmbiguousError: it fits several runs.
        MissingError: there is no ledger, or no such run in it.
        MalformedError: the event is none that can be read.
    """
    wanted = name.strip().lower()
    if wanted != LAST and len(wanted) < SHORTEST:
        raise UsageError(f"{name!r} names no run; give its id, at least {SHORTEST} characters of it, or last")
    known = _reconciliations(path or local_ledger())
    if not known:
        raise MissingError("no run is on record; hwledger run and hwledger reconcile put one there")
    if wanted == LAST:
        return _recalled(*known[-1])
    found = {run: (run, seq, event) for run, seq, event in known if _names(wanted, run)}
    if len(found) > 1:
        raise AmbiguousError(name, sorted(found))
    if not found:
        raise MissingError(
            f"no run {name!r} is on record; the latest is {known[-1][0]}; hwledger history MODEL lists them"
        )
    return _recalled(*next(iter(found.values())))


def recalled_all(path: Path | None = None) -> "Iterator[Recalled | HwledgerError]":
    """Yield every reconciliation on record, oldest first; one that cannot be read is the error that says so.

    Raises:
        MissingError: there is no ledger.
    """
    for run, seq, event in _reconciliations(path or local_ledger()):
        try:
            yield _recalled(run, seq, event)
        except HwledgerError as error:
            yield error


def _names(wanted: str, run: str) -> bool:
    return run.startswith(wanted) or run.endswith(wanted)


def _reconciliations(path: Path | str) -> list[tuple[str, int, Event]]:
    """Return run, place and event of every reconciliation, oldest first."""
    found: list[tuple[str, int, Event]] = []
    with open_reader(path) as reader:
        after = 0
        while page := reader.read(after, _PAGE, types=[RECONCILED]):
            for entry in page:
                event = event_of(entry.body)
                found.append((str(event.data.get("run") or event.id), entry.seq, event))
            after = page[-1].seq
    return found


def _recalled(run: str, seq: int, event: Event) -> Recalled:
    return Recalled(run, seq, event.time_microseconds, read_record(event.data))
