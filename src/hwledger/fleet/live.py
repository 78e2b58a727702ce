"""What a server knows of its hosts since it began: in memory alone, made anew by their next words."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host last said, and what was written down of it.

    Attributes:
        at: when it last spoke, microseconds by the server's clock.
        due_seconds: in how many seconds it was told to speak again.
        boot: of its agent.
        version: of its agent.
        inventory_sha256: of the inventory that the ledger has.
        offset_ms: by how much its clock was ahead when it last spoke.
        noted_offset_ms: the same, as the ledger has it.
        alarm: what it found wrong with the ledger, as the ledger has it; empty: nothing.
        spool_bytes: what waits on it to be sent.
    """

    at: int
    due_seconds: float
    boot: str
    version: str
    inventory_sha256: str
    offset_ms: int
    noted_offset_ms: int
    alarm: str
    spool_bytes: int


class Live:
    """The hosts that spoke to this process, and who waits for news of a host.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._waiting: dict[str, set[Callable[[], None]]] = {}
        self._news: dict[str, int] = {}
        self._idle: dict[str, tuple[int, int]] = {}

    def seen(self, host: str) -> Seen | None:
        """Return what a host last said; ``None``: nothing since this process began, or it is offline."""
        with self._lock:
            return self._seen.get(host)

    def keep(self, host: str, seen: Seen) -> None:
        """Keep what a host said."""
        with self._lock:
            self._seen[host] = seen

    def touch(self, host: str, at: int) -> None:
        """Note that a host spoke, whatever it said; one that has not said hello stays unknown."""
        with self._lock:
            before = self._seen.get(host)
            if before is not None and at > before.at:
                self._seen[host] = replace(before, at=at)

    def forget(self, host: str) -> None:
        """Forget a host: its next hello is its first."""
        with self._lock:
            self._seen.pop(host, None)

    def all(self) -> dict[str, Seen]:
        """Return every host that is known, with what it last said."""
        with self._lock:
            return dict(self._seen)

    def __len__(self) -> int:
        with self._lock:
            return len(self._seen)

    def wait(self, host: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call back, from any thread, when there is news for a host; what is returned ends that."""
        with self._lock:
            self._waiting.setdefault(host, set()).add(wake)

        def leave() -> None:
            with self._lock:
                left = self._waiting.get(host, set())
                left.discard(wake)
                if not left:
                    self._waiting.pop(host, None)

        return leave

    @property
    def waiting(self) -> int:
        """Return how many wait for news of a host: agents whose long poll is open."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def news(self, host: str) -> int:
        """Return how often there was news for a host since this process began."""
        with self._lock:
            return self._news.get(host, 0)

    def keep_idle(self, host: str, after: int, news: int) -> None:
        """Note that nothing was found for a host above a cursor when there had been so much news."""
        with self._lock:
            self._idle[host] = (after, news)

    def is_idle(self, host: str, after: int) -> bool:
        """Whether nothing can be there for a host above a cursor: nothing was, and no news came since."""
        with self._lock:
            cursor, news = self._idle.get(host, (0, -1))
            return after >= cursor and news == self._news.get(host, 0)

    def wake(self, host: str) -> None:
        """Note news for a host, and tell everybody who waits for it."""
        with self._lock:
            self._news[host] = self._news.get(host, 0) + 1
            waiting = list(self._waiting.get(host, ()))
        for wake in waiting:
            wake()

    def wake_all(self) -> None:
        """Tell everybody who waits for news of any host: the server stops."""
        with self._lock:
            waiting = [one for some in self._waiting.values() for one in some]
        for wake in waiting:
            wake()
