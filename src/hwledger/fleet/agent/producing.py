"""The events that an agent makes: counted, and on the disk before anybody is told of them."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from hwledger.errors import FullError
from hwledger.fleet.agent.spool import Spool
from hwledger.ledger.event import Event, body_of, new_id
from hwledger.ledger.types import shipped_types

_HELD = 1000


class Producer:
    """Makes events of one run of an agent.

    Args:
        spool: where they wait.
        source: the SPIFFE id of the agent.
        boot: the run that they are counted in.
        clock: microseconds since 1970.
        random: gives so many unpredictable bytes.
    """

    def __init__(
        self,
        spool: Spool,
        source: str,
        boot: str,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._spool, self._source, self._boot = spool, source, boot
        self._clock, self._random = clock, random
        self._lock = threading.Lock()
        self._seq = 0
        self._held: list[tuple[int, bytes]] = []
        self.lost = 0
        self.offset_ms = 0

    def add(self, name: str, subject: str, data: Mapping[str, Any], *, cause: str | None = None) -> Event:
        """Make an event and keep it until it is sent.

        Where the disk has no room it is held in memory, up to a thousand, and kept with the next one.

        Raises:
            MalformedError: the data is not what the type demands.
        """
        with self._lock:
            event = self._made(name, subject, data, cause)
            self._held.append((self._seq, body_of(event)))
            self._flush()
        return event

    def flush(self) -> None:
        """Put what is held in memory on the disk, where that has room again."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        while self._held:
            try:
                self._spool.add_event(self._boot, *self._held[0])
            except FullError:
                while len(self._held) > _HELD:
                    del self._held[0]
                    self.lost += 1
                return
            del self._held[0]

    def tell_dropped(self, host: str) -> None:
        """Make an event of each kind of which the spool let something go.

        Raises:
            FullError: the disk has no room; it is told later.
        """
        for kind, count in self._spool.dropped().items():
            with self._lock:
                if self._held:
                    return  # events are sent in the order of their numbers
                told = {"host": host, "kind": kind, "count": count}
                event = self._made("agent.dropped", f"host/{host}", told, None)
                self._spool.tell_dropped(kind, count, self._boot, self._seq, body_of(event))

    def _made(self, name: str, subject: str, data: Mapping[str, Any], cause: str | None) -> Event:
        newest = shipped_types().newest(name)
        moment = self._clock()
        self._seq += 1
        event = Event(
            id=new_id(moment, self._random(10)),
            source=self._source,
            type=newest.full_name if newest else name,
            subject=subject,
            time_microseconds=moment,
            data=data,
            cause=cause,
            boot=self._boot,
            boot_seq=self._seq,
            clock_offset_ms=self.offset_ms,
        )
        shipped_types().check(event)
        return event
