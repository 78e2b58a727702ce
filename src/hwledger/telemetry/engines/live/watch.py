"""One place, watched: identified once, looked at again and again, and never waited for long."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from hwledger.errors import DeniedError, HwledgerError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.net.address import is_local, reaching
from hwledger.library.serving.replies import KEY_VARIABLE, Server
from hwledger.telemetry.engines.live.asking import COUNT_AT_END, Known, look
from hwledger.telemetry.engines.live.knowing import identify
from hwledger.telemetry.engines.live.places import VARIABLE, Place
from hwledger.telemetry.engines.live.rates import Rates
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.snapshot import EngineSnapshot, Sample
from hwledger.telemetry.stale import staled

CONNECT_S: Final = 0.25
UNKNOWN_AGAIN_S: Final = 60.0
"""A port that answers and is no engine is left alone for so long."""


class Watched:
    """One place and what it said.

    Attributes:
        place: where it is; may change with its process.
        trouble: why the last look failed; empty where it did not.
    """

    def __init__(self, place: Place, limit_s: float) -> None:
        self.place = place
        self.trouble = ""
        self._limit_s = limit_s
        self._known: Known | None = None
        self._left_alone_until = 0.0
        self._last: EngineSnapshot | None = None

    @property
    def engine(self) -> str:
        """The engine that was identified; empty where none was."""
        return self._known.engine if self._known else ""

    def look(self, at: float) -> EngineSnapshot | None:
        """Return what the engine says now; ``None`` where there is none. Never raises.

        Where it does not answer in time, that is what it said last, stale.
        """
        return self._guarded(self._looked, at)

    def identify(self, at: float) -> str:
        """Return the engine that answers; empty where none does. Never raises, and reads no figures."""
        found = self._guarded(self._identified, at)
        return self.engine or (found.engine if found is not None else "")

    def _guarded(
        self, ask: Callable[[Server, float], EngineSnapshot | None], at: float
    ) -> EngineSnapshot | None:
        self.trouble = ""
        if self._known is None and at < self._left_alone_until:
            return None
        if is_local(self.place.address) and not _listens(self.place.address):
            self._gone()
            return None
        try:
            with _server(self.place, self._limit_s) as server:
                return ask(server, at)
        except DeniedError:
            return self._denied()
        except UnreachableError as error:
            return self._late(str(error), at)
        except HwledgerError as error:
            self.trouble = str(error)
            return None

    def _looked(self, server: Server, at: float) -> EngineSnapshot | None:
        self._identified(server, at)
        if self._known is None:
            return None
        self._known.words = self.place.words
        self._last = self._placed(look(server, self._known, at))
        return self._last

    def _identified(self, server: Server, at: float) -> None:
        if self._known is not None:
            return
        engine = identify(server, self.place.engine)
        if engine is not None:
            self._known = Known(engine, self.place.words, rates=Rates(at_end=engine in COUNT_AT_END))
            return
        self._left_alone_until = at + UNKNOWN_AGAIN_S
        if self.place.given:
            self.trouble = f"{self.place.address} is no engine that is known"

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
def _server(place: Place, limit_s: float) -> Iterator[Server]:
    """Give the server of a place; the key of the environment is shown to addresses that the user named."""
    from hwledger.library.net.http import Credential, Http  # noqa: PLC0415 - start-up time

    key = os.environ.get(KEY_VARIABLE, "").strip() if place.given else ""
    credential = Credential(place.address, key) if key else None
    access = reaching(Access(time_limit_s=limit_s), place.address)
    with Http(access, credential, near=True) as http:
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
