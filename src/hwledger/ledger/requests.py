"""What waits for the thread that writes, and how each that waits is told."""

from asyncio import AbstractEventLoop
from asyncio import Future as LoopFuture
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection

from hwledger.ledger.event import Event
from hwledger.ledger.store import Decision, Receipt

Outcome = tuple[Receipt, ...] | BaseException
GROUP: Final = 256
"""Requests in one commit at most: what the measurements were made with."""


class Request:
    """Events, or a decision that makes them, that somebody waits for.

    Who waits here and now waits on a lock, which costs a tenth of what a future does; a future is for who
    goes on meanwhile, and one of an event loop for who waits in it: a whole group is told in one call.
    """

    __slots__ = ("_done", "_future", "_outcome", "decision", "events", "expected_seq", "later")

    def __init__(
        self,
        events: list[tuple[Event, bytes]],
        expected_seq: int | None = None,
        decision: Decision | None = None,
        future: "Future[tuple[Receipt, ...]] | None" = None,
        later: "LoopFuture[tuple[Receipt, ...]] | None" = None,
    ) -> None:
        self.events, self.expected_seq, self.decision = events, expected_seq, decision
        self._future, self.later = future, later
        self._outcome: Outcome = ()
        if future is None and later is None:
            self._done = Lock()
            self._done.acquire()

    def begins(self) -> bool:
        """Return whether somebody still waits; from now on what is added stays, also if it is cancelled."""
        if self.later is not None:
            return not self.later.cancelled()
        return self._future is None or self._future.set_running_or_notify_cancel()

    def finish(self, outcome: Outcome) -> None:
        """Answer who waits in a thread."""
        if self._future is None:
            self._outcome = outcome
            self._done.release()
        else:
            _settle(self._future, outcome)

    def result(self) -> tuple[Receipt, ...]:
        """Wait for the answer."""
        self._done.acquire()  # released in another thread
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class Task:
    """Something else to do in a transaction of its own."""

    __slots__ = ("answer", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.answer: Future[Any] = Future()


def tell(told: Iterable[tuple[Request, Outcome]]) -> None:
    """Tell each who waits; an event loop is called once, for all that wait in it."""
    loops: dict[AbstractEventLoop, list[tuple[LoopFuture[tuple[Receipt, ...]], Outcome]]] = {}
    for request, outcome in told:
        if request.later is None:
            request.finish(outcome)
        else:
            loops.setdefault(request.later.get_loop(), []).append((request.later, outcome))
    for loop, those in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits in it any more
            loop.call_soon_threadsafe(_settle_all, those)


def _settle_all(those: list[tuple[LoopFuture[tuple[Receipt, ...]], Outcome]]) -> None:
    for later, outcome in those:
        if not later.done():
            _settle(later, outcome)


def _settle(future: Future[tuple[Receipt, ...]] | LoopFuture[tuple[Receipt, ...]], outcome: Outcome) -> None:
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
