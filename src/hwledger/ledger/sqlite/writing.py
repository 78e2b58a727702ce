"""Writing a ledger file: one process by a lock, one thread by a queue, one commit for all that waits."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import filelock
from sqlalchemy import Connection, insert

from hwledger.errors import BusyError, FullError, HwledgerError
from hwledger.ledger.chain import Entry, Head
from hwledger.ledger.event import Event
from hwledger.ledger.merkle import Frontier
from hwledger.ledger.projections import Producers, Projection, catch_up, project
from hwledger.ledger.schema import CHECKPOINT, EVENT, NODE
from hwledger.ledger.sqlite import reading
from hwledger.ledger.sqlite.connecting import explaining, writing_engine
from hwledger.ledger.sqlite.creating import create
from hwledger.ledger.sqlite.places import check_local, make_private, printable_path
from hwledger.ledger.store import Answer, Decision, Placed, Receipt, decided, place, with_bodies

GROUP: Final = 256
"""Requests in one commit at most: what the measurements were made with."""
_WAITING: Final = 4096
_IDS: Final = 500
_ADD_EVENT, _ADD_NODE = (
    f"INSERT INTO {table.name} VALUES ({','.join('?' * len(table.columns))})"  # noqa: S608 - our own names
    for table in (EVENT, NODE)
)
"""What Core would write, without what it takes to write it for each row."""


@dataclass(frozen=True, slots=True)
class _Request:
    """Events, or a decision that makes them, that somebody waits for."""

    events: list[tuple[Event, bytes]]
    expected_seq: int | None
    answer: "Future[tuple[Receipt, ...]]"
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    """Something else to do in a transaction of its own."""

    work: Callable[[Connection], Any]
    answer: "Future[Any]"


class SqliteStore(reading.SqliteReader):
    """A ledger file that this process writes, and any number of threads and processes read."""

    def __init__(
        self,
        path: Path,
        *,
        origin: str | None = None,
        projections: Sequence[Projection] | None = None,
        patience_seconds: float = 0,
    ) -> None:
        """Open a ledger, or create it.

        Args:
            path: the file.
            origin: the name of a new ledger, without spaces and plus signs; a random one if not given.
            projections: which to keep; those of the ledger if not given.
            patience_seconds: how long to wait for another process that writes.

        Raises:
            BusyError: another process writes to it.
            InputError: it lies on a network file system, or cannot be opened.
            MalformedError: it is no ledger, or damaged.
            NewerError: a newer version wrote it.
        """
        check_local(path)
        make_private(path)
        self._lock = locked(path, patience_seconds)
        try:
            create(path, origin)
            super().__init__(path)
            self._projections = (Producers(),) if projections is None else tuple(projections)
            with explaining(path):
                self._writing = writing_engine(path)
                self._start()
        except BaseException:
            self._lock.release()
            raise
        self._queue: queue.Queue[_Request | _Task | None] = queue.Queue(_WAITING)
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hwledger-writer", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        with self._writing.begin() as connection:
            self._epoch = reading.last_epoch(connection) + 1
            for projection in self._projections:
                catch_up(connection, projection)
            self._load(connection)

    def _load(self, connection: Connection) -> None:
        self._end = reading.head_of(connection)
        self._frontier = Frontier.of(
            self._end.seq, lambda level, index: reading.node_of(connection, level, index)
        )

    @property
    def projections(self) -> Sequence[Projection]:
        """Return what is kept up to date, as the port says."""
        return self._projections

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Add events, as the port says."""
        return self.submit(events, expected_seq=expected_seq).result()

    def submit(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> "Future[tuple[Receipt, ...]]":
        """Add events without waiting; the answer comes, or raises, when they are durable.

        What is cancelled before its turn is not added.
        """
        request = _Request(with_bodies(events), expected_seq, Future())
        self._put(request)
        return request.answer

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes, as the port says; it is made in the thread that writes."""
        return self.submit_decision(decision).result()

    def submit_decision(self, decision: Decision) -> "Future[tuple[Receipt, ...]]":
        """Decide without waiting; the answer comes, or raises, when what it adds is durable."""
        request = _Request([], None, Future(), decision)
        self._put(request)
        return request.answer

    def keep_note(self, note: str, size: int) -> None:
        """Keep a signed checkpoint, as the port says."""
        if size not in self.notes():
            self._do(lambda connection: connection.execute(insert(CHECKPOINT).values(size=size, note=note)))

    def rebuild(self) -> None:
        """Make every projection anew from the events."""
        for projection in self._projections:
            self._do(partial(catch_up, projection=projection, anew=True))

    def _do(self, work: Callable[[Connection], Answer]) -> Answer:
        task = _Task(work, Future())
        self._put(task)
        answer: Answer = task.answer.result()
        return answer

    def _put(self, what: _Request | _Task) -> None:
        with self._closing:
            if self._closed:
                raise BusyError(f"{printable_path(self.path)}: the ledger was closed; open it again")
            self._queue.put(what)

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._writing.dispose()
        super().close()
        self._lock.release()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            if isinstance(first, _Task):
                self._answer_task(first)
                continue
            group, then = self._waiting(first)
            self._answer_group(group)
            if isinstance(then, _Task):
                self._answer_task(then)
            elif then is _END:
                return

    def _waiting(self, first: _Request) -> "tuple[list[_Request], _Task | object]":
        """Return all requests that wait now, and what came behind them that is none."""
        group = [first]
        while len(group) < GROUP:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(following, _Request):
                return group, following or _END
            group.append(following)
        return group, None

    def _answer_task(self, task: _Task) -> None:
        if not task.answer.set_running_or_notify_cancel():
            return
        try:
            with explaining(self.path), self._writing.begin() as connection:
                answer = task.work(connection)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            task.answer.set_exception(error)
        else:
            task.answer.set_result(answer)

    def _answer_group(self, group: list[_Request]) -> None:
        """Commit a group, then tell each who waits; nobody hears of success before it is on the disk."""
        group = [request for request in group if request.answer.set_running_or_notify_cancel()]
        try:
            with explaining(self.path), self._writing.begin() as connection:
                outcomes, end, frontier = self._write(connection, group)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._answer_failed(group, error)
            return
        self._end, self._frontier = end, frontier
        for request, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Placed):
                request.answer.set_result(outcome.receipts)
            else:
                request.answer.set_exception(outcome)

    def _answer_failed(self, group: list[_Request], error: BaseException) -> None:
        try:
            with explaining(self.path), self._reading.connect() as connection:
                self._load(connection)  # whether the commit took hold is what the file says
        except Exception:  # noqa: BLE001, S110 - the next group fails on it, too, and says so
            pass
        for request in group:
            request.answer.set_exception(
                error
                if isinstance(error, HwledgerError)
                else FullError(
                    f"{printable_path(self.path)}: could not be written ({error}); repeat what was sent"
                )
            )

    def _write(
        self, connection: Connection, group: list[_Request]
    ) -> tuple[list[Placed | Exception], Head, Frontier]:
        known = self._known(connection, [event.id for request in group for event, _ in request.events])
        outcomes: list[Placed | Exception] = []
        added: list[tuple[Entry, Event]] = []
        end, frontier = self._end, self._frontier.copy()
        for request in group:
            events = request.events
            try:
                if request.decision:
                    self._insert(connection, added, frontier)
                    added = []
                    events = decided(connection, request.decision)
                    known |= self._known(connection, [event.id for event, _ in events])
                placed = place(events, end, known, request.expected_seq)
            except HwledgerError as error:
                outcomes.append(error)
                continue
            except Exception as error:
                if request.decision is None:
                    raise
                outcomes.append(error)
                continue
            outcomes.append(placed)
            known |= {receipt.id: receipt for receipt in placed.receipts}
            added.extend(placed.added)
            if placed.added:
                last = placed.added[-1][0]
                end = Head(last.seq, last.chain)
        self._insert(connection, added, frontier)
        return outcomes, end, frontier

    def _known(self, connection: Connection, ids: Sequence[str]) -> dict[str, Receipt]:
        found = {}
        for start in range(0, len(ids), _IDS):
            for row in reading.known_among(connection, ids[start : start + _IDS]):
                found[row[0]] = Receipt(*row)
        return found

    def _insert(
        self, connection: Connection, added: Sequence[tuple[Entry, Event]], frontier: Frontier
    ) -> None:
        if not added:
            return
        connection.exec_driver_sql(_ADD_EVENT, [self._row(entry, event) for entry, event in added])
        nodes = [node for entry, _ in added for node in frontier.add(entry.leaf)]
        if nodes:
            connection.exec_driver_sql(_ADD_NODE, nodes)
        for projection in self._projections:
            project(connection, projection, [(entry.seq, event) for entry, event in added])

    def _row(self, entry: Entry, event: Event) -> tuple[Any, ...]:
        """Return a row in the order of the table's columns."""
        named = (event.id, event.time_microseconds, event.type, event.subject, event.source)
        return (entry.seq, *named, entry.body, entry.leaf, entry.chain, self._epoch)


_END: Final = object()


def locked(path: Path, patience_seconds: float = 0) -> filelock.BaseFileLock:
    """Return the lock of the one who writes, held.

    Raises:
        BusyError: another process, or another store of this one, holds it.
    """
    lock = filelock.FileLock(
        path.with_name(f"{path.name}.lock"), timeout=patience_seconds, thread_local=False
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(
            f"{printable_path(path)}: another process writes to this ledger; stop it first"
        ) from None
    return lock
