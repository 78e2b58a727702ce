"""Whether the server lives, and whether it can take what it is for: events."""

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.errors import HwledgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from hwledger.ledger.event import Event
    from hwledger.ledger.store import Store

PATIENCE_SECONDS: Final = 2.0
KEPT_SECONDS: Final = 1.0
_PROBE_BYTES: Final = 64 * 1024
"""As much as a commit of some events takes."""


class Readiness:
    """Asks whether the ledger can be written, at most once a second however often it is asked."""

    def __init__(self, store: "Store", folder: Path | None) -> None:
        """Take what is asked about.

        Args:
            store: the ledger.
            folder: where its file lies; ``None``: it is no file of this machine.
        """
        self._store, self._folder = store, folder
        self._asking = threading.Lock()
        self._last: tuple[float, str] | None = None
        self._pool = ThreadPoolExecutor(1, "hwledger-ready")

    def why_not(self) -> str:
        """Return why the ledger cannot be written, in a sentence; empty: it can."""
        with self._asking:
            now = time.monotonic()
            if self._last is None or now - self._last[0] >= KEPT_SECONDS:
                self._last = now, self._asked()
            return self._last[1]

    def _asked(self) -> str:
        writer = self._pool.submit(self._store.decide, _nothing)
        try:
            writer.result(PATIENCE_SECONDS)
            if self._folder is not None:
                _probe(self._folder)
        except TooLateError:
            return f"the ledger did not answer within {PATIENCE_SECONDS:g} s; its disk or database is stuck"
        except HwledgerError as error:
            return str(error)
        except OSError as error:
            return f"{self._folder}: cannot be written ({error.strerror}); free the disk or make it writable"
        return ""

    def close(self) -> None:
        """Ask no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _nothing(_: "Connection") -> "Sequence[Event]":
    return ()


def _probe(folder: Path) -> None:
    """Write a little beside the ledger, make it durable, and take it away.

    Raises:
        OSError: it cannot be done.
    """
    path = folder / f".hwledger-ready.{os.getpid()}"
    handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        if os.write(handle, bytes(_PROBE_BYTES)) < _PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)
