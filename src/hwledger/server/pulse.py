"""One look at the end of the ledger for all who wait for what is new."""

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool

from hwledger.errors import HwledgerError

if TYPE_CHECKING:
    from hwledger.ledger.store import Store

LOOK_SECONDS: Final = 0.1
"""How late an event may reach a reader; one question to the database, and only while somebody reads."""
MOST_READERS: Final = 256


class Pulse:
    """Wakes readers when the ledger has grown. All of it happens in one event loop."""

    def __init__(self, store: "Store", look_seconds: float = LOOK_SECONDS) -> None:
        self._store, self._look_seconds = store, look_seconds
        self._size = 0
        self._grown = asyncio.Event()
        self._closed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.readers = 0

    @property
    def closed(self) -> bool:
        """Whether the server stops."""
        return self._closed.is_set()

    def close(self) -> None:
        """Wake all readers for good."""
        self._closed.set()
        self._grown.set()

    def enter(self) -> None:
        """Count a reader; with the first, looking begins."""
        self.readers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def leave(self) -> None:
        """Count a reader less."""
        self.readers -= 1

    async def _look(self) -> None:
        while self.readers > 0 and not self.closed:
            try:
                size = (await run_in_threadpool(self._store.head)).seq
            except HwledgerError:
                size = self._size  # readers find out by themselves when they read
            if size != self._size:
                self._size = size
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()
            await asyncio.sleep(self._look_seconds)

    async def beyond(self, seq: int, patience_seconds: float) -> int:
        """Return the size of the ledger once it is larger than ``seq``, or as it is after some time."""
        waited = asyncio.get_running_loop().time() + patience_seconds
        while self._size <= seq and not self.closed:
            left = waited - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self._grown.wait(), left)
            except TimeoutError:
                break
        return self._size
