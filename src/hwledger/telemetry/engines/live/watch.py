"""One place, watched: identified once, looked at again and again, and never waited for long."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from hwledger.errors import DeniedError, HwledgerError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.net.address import is_local, reaching
from hwledger.library.serving.replies import KEY_VARIABLE, Server
from hwledger.telemetry.engines.live.asking import COUNT_AT_END, Known, is_due, look
from hwledger.telemetry.engines.live.knowing import identify, is_still
from hwledger.telemetry.engines.live.places import VARIABLE, Place
from hwledger.telemetry.engines.live.rates import Rates
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.snapshot import EngineSnapshot, Sample
from hwledger.telemetry.stale import staled

CONNECT_S: Final = 0.25
UNKNOWN_AGAIN_S: Final = 60.0
"""A port that answers and is no engine is left alone for so long."""


REMOTE_S: Final = 6.0
"""Limit of time for engines on other machines."""
PATIENT_S: Final = 10.0
"""What was said is given as it is, with its age, while a look is under way for less than this."""
Ask = Callable[[Server, float], EngineSnapshot | None]


class Watched:
    """One place and what it said; looks are made in a thread of their own, one at a time.

    Threads are daemons: one that hangs (a name that is not resolved) holds up nobody.

    Args:
        place: where it is.
        limit_s: seconds that a look on this machine may take.
        key: shown to the place where the user named it; empty for none.

    Attributes:
        place: where it is; may change with its process.
        trouble: why the last look failed; empty where it did not.
    """

    def __init__(self, place: Place, limit_s: float, key: str = "") -> None:
        self.place = place
        self.trouble = ""
        self._limit_s = limit_s if is_local(place.address) else max(limit_s, REMOTE_S)
        self._key = key if place.given else ""
        self._known: Known | None = None
        self._left_alone_until = 0.0
        self._last: EngineSnapshot | None = None
        self._told: EngineSnapshot | None = None
        self._thread: threading.Thread | None = None
        self._begun = 0.0

    @property
    def engine(self) -> str:
        """The engine that was identified, or that its process is; empty where none is known."""
        return self._known.engine if self._known else (self._told.engine if self._told else "")

    def begin(self, at: float, *, figures: bool = True) -> None:
        """Begin a look unless the one before has not ended.

        Args:
            at: when, on the clock of the system.
            figures: read what the engine says, else only find out which it is.
        """
        if self._thread is None or not self._thread.is_alive():
            ask = self._looked if figures else self._identified
            self._begun = at
            self._thread = threading.Thread(target=self._run, args=(ask, at), daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until the look has ended, but no longer."""
        if self._thread is not None:
            self._thread.join(seconds)

    def latest(self, at: float) -> EngineSnapshot | None:
        """Return what the engine said last; ``None`` where there is none.

        Where it does not answer in time, its values are stale.
        """
        told, pending = self._told, self._thread is not None and self._thread.is_alive()
        if told is None or not pending or at - self._begun < PATIENT_S:
            return told
        return staled(Sample(engines=(told,)), f"no answer for {at - self._begun:.0f} s").engines[0]

    def _run(self, ask: Ask, at: float) -> None:
        try:
            self._told = self._guarded(ask, at)
        except Exception as error:  # noqa: BLE001 - one engine must not take the others with it
            self.trouble = f"{self.place.address} could not be read: {type(error).__name__}: {error}"

    def _guarded(self, ask: Ask, at: float) -> EngineSnapshot | None:
        """Return what the engine says now, or why it says nothing."""
        self.trouble = ""
        if self._known is None and at < self._left_alone_until:
            return None
        if is_local(self.place.address) and not _listens(self.place.address):
            self._gone()
            return None
        try:
            with _server(self.place, self._limit_s, self._key) as server:
                return ask(server, at)
        except DeniedError:
            return self._denied()
        except UnreachableError as error:
            return self._late(str(error), at)
        except HwledgerError as error:
            self.trouble = str(error)
            return None

    def _looked(self, server: Server, at: float) -> EngineSnapshot | None:
        before = self._known
        if before is not None and is_due(before, at) and not is_still(server, before.engine):
            self._known = None
        self._identified(server, at)
        if self._known is None:
            return None
        if before is not None and before.engine == self._known.engine:
            self._known = before
        self._known.words = self.place.words
        self._last = self._placed(look(server, self._known, at))
        return self._last

    def _identified(self, server: Server, at: float) -> EngineSnapshot | None:
        if self._known is not None:
            return self._told
        engine = identify(server, self.place.engine)
        if engine is not None:
            self._known = Known(engine, self.place.words, rates=Rates(at_end=engine in COUNT_AT_END))
            return self._told
        self._left_alone_until = at + UNKNOWN_AGAIN_S
        if self.place.given:
            self.trouble = f"{self.place.address} is no engine that is known"
        return None

    def _placed(self, engine: EngineSnapshot) -> EngineSnapshot:
        return replace(engine, address=self.place.address, pid=self.place.pid)

    def _gone(self) -> None:
        """Forget the engine: nothing listens there."""
        self._known = self._last = None
        if self.place.given:
            self.trouble = f"nothing listens at {self.place.address}, which {VARIABLE} names"

    def _denied(self) -> EngineSnapshot | None:
        named = self.engine or self.place.engine
        if self.place.given:
            why = f"it wants a key: set {KEY_VARIABLE} to the one that the server was started with"
        else:
            why = f"it wants a key: name its address in {VARIABLE} and set {KEY_VARIABLE}"
        if not named:
            self.trouble = f"{self.place.address}: {why}" if self.place.given else ""
            return None
        return self._without(named, Reason.NO_PERMISSION, why)

    def _late(self, why: str, at: float) -> EngineSnapshot | None:
        """Return the last answer as stale, or an engine that is known by its process and does not answer."""
        if self._last is not None:
            return staled(Sample(engines=(self._last,)), why).engines[0]
        if self.place.engine:
            return self._without(self.place.engine, Reason.STALE, why)
        if self.place.given:
            self.trouble = why
        else:
            self._left_alone_until = at + UNKNOWN_AGAIN_S
        return None

    def _without(self, engine: str, reason: Reason, why: str) -> EngineSnapshot:
        absent = Absent(reason, why, self.place.address)
        readings = MappingProxyType({Quantity.REQUESTS_RUNNING: absent})
        return self._placed(EngineSnapshot(engine, readings=readings))


@contextlib.contextmanager
def _server(place: Place, limit_s: float, key: str) -> Iterator[Server]:
    """Give the server of a place: one on this machine is asked past proxies, without redirects, and once."""
    from hwledger.library.net.http import Credential, Http  # noqa: PLC0415 - start-up time

    credential = Credential(place.address, key) if key else None
    access = reaching(Access(time_limit_s=limit_s), place.address)
    with Http(access, credential, near=is_local(place.address)) as http:
        yield Server(http, place.address, has_key=bool(key))


def _listens(address: str) -> bool:
    """Whether a connection to an address of this machine is taken."""
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), CONNECT_S):
            return True
    except TimeoutError:
        return True  # it is there, and slow
    except OSError:
        return False
