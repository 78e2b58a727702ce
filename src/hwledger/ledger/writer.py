"""Writing a ledger that lies in a database: one thread by a queue, one commit for all that waits."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select

from hwledger.errors import BusyError, FullError, HwledgerError
from hwledger.ledger.chain import Entry, Head, follow
from hwledger.ledger.event import Event, event_of
from hwledger.ledger.merkle import Frontier
from hwledger.ledger.projections import Producers, Projection, catch_up, project
from hwledger.ledger.reader import SqlReader, head_of
from hwledger.ledger.requests import GROUP, Request, Task, tell
from hwledger.ledger.schema import CHECKPOINT
from hwledger.ledger.store import Answer, Decision, Placed, Receipt, decided, place, with_bodies

_WAITING: Final = 4096
"""Requests that may wait; who comes on top waits before."""
_PAUSE_SECONDS: Final = 0.001
_MANY: Final = 8
"""After a group of so many requests the next one waits for more, at most half as long as that one took."""
_GAP_SECONDS: Final = 0.002
"""The longest wait for one of them. Groups were half as large again, and a fifth faster on a slow disk."""


class SqlStore(SqlReader):
    """A ledger that this process writes; what a database does its own way is in its subclass."""

    def start(self, engine: Engine, projections: Sequence[Projection] | None) -> None:
        """Begin to write.

        Args:
            engine: of the one connection that writes.
            projections: which to keep; those of the ledger if ``None``.
        """
        self._writing = engine
        self._projections = (Producers(),) if projections is None else tuple(projections)
        self._stopped: HwledgerError | None = None
        self._closed = False
        self._patience_seconds = 0.0
        self._due: tuple[Head, Frontier] | None = None  # the end once the transaction of a task is committed
        try:
            with engine.begin() as connection:
                self._epoch = self.begin_epoch(connection)
                for projection in self._projections:
                    catch_up(connection, projection)
                self._load(connection)
        except BaseException:
            engine.dispose()
            self._reading.dispose()
            raise
        self._queue: SimpleQueue[Request | Task | None] = SimpleQueue()
        self._closing = Lock()
        self._thread = Thread(target=self._run, name="hwledger-writer", daemon=True)
        self._thread.start()

    @property
    def projections(self) -> Sequence[Projection]:
        """Return what is kept up to date, as the port says."""
        return self._projections

    @abstractmethod
    def begin_epoch(self, connection: Connection) -> int:
        """Return the number of this opening, by which its events are marked."""

    def begin_group(self, connection: Connection) -> None:
        """Make sure, at the beginning of a transaction, that this process still is the one that writes."""

    @abstractmethod
    def known(self, connection: Connection, ids: Sequence[str]) -> list[tuple[str, int, bytes, bytes]]:
        """Return id, sequence number, leaf and chain of those ids that are there."""

    @abstractmethod
    def add_rows(
        self,
        connection: Connection,
        events: Sequence[tuple[Any, ...]],
        nodes: Sequence[tuple[int, int, bytes]],
    ) -> None:
        """Insert events, in the order of the table's columns, and the nodes that they made full."""

    def has_stopped(self) -> HwledgerError | None:
        """Return why nothing can be written after a failure; ``None``: the next group may succeed."""
        return None

    def let_go(self) -> None:
        """Let another process write."""

    def _load(self, connection: Connection) -> None:
        self._end = head_of(connection)
        self._frontier = Frontier.of(
            self._end.seq, lambda level, index: self.node_of(connection, level, index)
        )

    def append(self, events: Sequence[Event], *, expected_seq: int | None = None) -> tuple[Receipt, ...]:
        """Add events, as the port says."""
        request = Request(with_bodies(events), expected_seq)
        self._put(request)
        return request.result()

    def submit(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> "Future[tuple[Receipt, ...]]":
        """Add events without waiting; the answer comes, or raises, when they are durable.

        What is cancelled before its turn is not added.
        """
        answer: Future[tuple[Receipt, ...]] = Future()
        self._put(Request(with_bodies(events), expected_seq, future=answer))
        return answer

    def decide(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes, as the port says; it is made in the thread that writes."""
        request = Request([], decision=decision)
        self._put(request)
        return request.result()

    def submit_decision(self, decision: Decision) -> "Future[tuple[Receipt, ...]]":
        """Decide without waiting; the answer comes, or raises, when what it adds is durable."""
        answer: Future[tuple[Receipt, ...]] = Future()
        self._put(Request([], decision=decision, future=answer))
        return answer

    async def append_async(
        self, events: Sequence[Event], *, expected_seq: int | None = None
    ) -> tuple[Receipt, ...]:
        """Add events, as the port says."""
        return await self._later(with_bodies(events), expected_seq)

    async def decide_async(self, decision: Decision) -> tuple[Receipt, ...]:
        """Add what a decision makes, as the port says; it is made in the thread that writes."""
        return await self._later([], decision=decision)

    async def _later(
        self,
        events: list[tuple[Event, bytes]],
        expected_seq: int | None = None,
        decision: Decision | None = None,
    ) -> tuple[Receipt, ...]:
        later: asyncio.Future[tuple[Receipt, ...]] = asyncio.get_running_loop().create_future()
        while self._is_crowded():  # noqa: ASYNC110 - it is another thread that makes room
            await asyncio.sleep(_PAUSE_SECONDS)
        self._accept(Request(events, expected_seq, decision, later=later))
        return await later

    def keep_note(self, note: str, size: int) -> None:
        """Keep a signed checkpoint, as the port says."""
        if size not in self.notes():
            self.transact(
                lambda connection: connection.execute(insert(CHECKPOINT).values(size=size, note=note))
            )

    def take_in(self, pages: Iterable[Sequence[Entry]], notes: Mapping[int, str]) -> Head:
        """Add entries as they are, after the end of this ledger, with checkpoints: all of them, or none.

        Returns:
            The end of the ledger.

        Raises:
            AlteredError: an entry does not follow on the one before.
        """
        self.transact(partial(self._take_in, pages=pages, notes=notes))
        return self.head()

    def _take_in(
        self, connection: Connection, pages: Iterable[Sequence[Entry]], notes: Mapping[int, str]
    ) -> None:
        end, frontier = self._end, self._frontier.copy()
        for page in pages:
            end = follow(end, page)
            self._insert(connection, [(entry, event_of(entry.body)) for entry in page], frontier)
        kept = set(connection.execute(select(CHECKPOINT.c.size)).scalars())
        new = [{"size": size, "note": note} for size, note in notes.items() if size not in kept]
        if new:
            connection.execute(insert(CHECKPOINT), new)
        self._due = end, frontier

    def rebuild(self) -> None:
        """Make every projection anew from the events."""
        for projection in self._projections:
            self.transact(partial(catch_up, projection=projection, anew=True))

    def transact(self, work: Callable[[Connection], Answer]) -> Answer:
        """Return what some work in a transaction of its own gives, in the thread that writes."""
        task = Task(work)
        self._put(task)
        answer: Answer = task.answer.result()
        return answer

    def _put(self, what: Request | Task) -> None:
        while self._is_crowded():
            time.sleep(_PAUSE_SECONDS)
        self._accept(what)

    def _is_crowded(self) -> bool:
        return self._queue.qsize() >= _WAITING and not self._closed

    def _accept(self, what: Request | Task) -> None:
        with self._closing:
            if self._stopped:
                raise self._stopped
            if self._closed:
                raise BusyError(f"{self.name}: the ledger was closed; open it again")
            self._queue.put(what)

    def close(self) -> None:
        """Write what waits, and let go of the ledger."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._writing.dispose()
        super().close()
        self.let_go()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            if isinstance(first, Task):
                self._answer_task(first)
                continue
            group, then = self._waiting(first)
            self._answer_group(group)
            if isinstance(then, Task):
                self._answer_task(then)
            elif then is _END:
                return

    def _waiting(self, first: Request) -> "tuple[list[Request], Task | object]":
        """Return all requests that wait now or come at once, and what came behind them that is none."""
        group = [first]
        end = time.monotonic() + self._patience_seconds
        while len(group) < GROUP:
            try:
                following = self._following(end)
            except Empty:
                break
            if not isinstance(following, Request):
                return group, following or _END
            group.append(following)
        return group, None

    def _following(self, end: float) -> Request | Task | None:
        """Return what waits next, or comes before the next gap; who was just answered asks again soon.

        Raises:
            Empty: there is nothing.
        """
        if self._queue.empty() and time.monotonic() < end:
            return self._queue.get(timeout=_GAP_SECONDS)
        return self._queue.get_nowait()

    def _answer_task(self, task: Task) -> None:
        if not task.answer.set_running_or_notify_cancel():
            return
        try:
            with self.explaining(), self._writing.begin() as connection:
                self.begin_group(connection)
                found = task.work(connection)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._stopped, self._due = self._stopped or self.has_stopped(), None
            task.answer.set_exception(error)
        else:
            if self._due:
                (self._end, self._frontier), self._due = self._due, None
            task.answer.set_result(found)

    def _answer_group(self, group: list[Request]) -> None:
        """Commit a group, then tell each who waits; nobody hears of success before it is on the disk."""
        group = [request for request in group if request.begins()]
        start = time.monotonic()
        try:
            with self.explaining(), self._writing.begin() as connection:
                self.begin_group(connection)
                outcomes, end, frontier = self._write(connection, group)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._answer_failed(group, error)
            return
        self._end, self._frontier = end, frontier
        self._patience_seconds = (time.monotonic() - start) / 2 if len(group) >= _MANY else 0.0
        told = (one.receipts if isinstance(one, Placed) else one for one in outcomes)
        tell(zip(group, told, strict=True))

    def _answer_failed(self, group: list[Request], error: BaseException) -> None:
        self._stopped = self._stopped or self.has_stopped()
        if not self._stopped:
            try:
                with self.connected() as connection:
                    self._load(connection)  # whether the commit took hold is what the database says
            except Exception:  # noqa: BLE001, S110 - the next group fails on it, too, and says so
                pass
        told = self._stopped or error
        if not isinstance(told, HwledgerError):
            told = FullError(f"{self.name}: could not be written ({told}); repeat what was sent")
        tell((request, told) for request in group)

    def _write(
        self, connection: Connection, group: list[Request]
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
            for receipt in placed.receipts:
                known[receipt.id] = receipt
            if placed.added:
                added += placed.added
                last = placed.added[-1][0]
                end = Head(last.seq, last.chain)
        self._insert(connection, added, frontier)
        return outcomes, end, frontier

    def _known(self, connection: Connection, ids: Sequence[str]) -> dict[str, Receipt]:
        return {row[0]: Receipt(*row) for row in self.known(connection, ids)} if ids else {}

    def _insert(
        self, connection: Connection, added: Sequence[tuple[Entry, Event]], frontier: Frontier
    ) -> None:
        if not added:
            return
        nodes = [node for entry, _ in added for node in frontier.add(entry.leaf)]
        self.add_rows(connection, [self._row(entry, event) for entry, event in added], nodes)
        for projection in self._projections:
            project(connection, projection, [(entry.seq, event) for entry, event in added])

    def _row(self, entry: Entry, event: Event) -> tuple[Any, ...]:
        """Return a row in the order of the table's columns."""
        named = (event.id, event.time_microseconds, event.type, event.subject, event.source)
        return (entry.seq, *named, entry.body, entry.leaf, entry.chain, self._epoch)


_END: Final = object()
