"""One change of the catalogue at a time, whichever process makes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hwledger.errors import InputError

LOCK: Final = ".lock"
PATIENCE_S: Final = 2.0
"""A change takes some 10 ms: whoever waits this long is told why."""
GIVE_UP_S: Final = 30.0

Say = Callable[[str], None]


def unheard(sentence: str) -> None:
    """Tell nobody."""
    del sentence


@contextmanager
def one_at_a_time(folder: Path, say: Say = unheard) -> Iterator[None]:
    """Hold the lock of a folder of catalogues: what is read within is what the change is made to.

    The operating system holds the lock (``flock``, or ``msvcrt.locking`` on Windows), so it goes with the
    process that had it and none is ever left behind.

    Args:
        folder: where the record of catalogues is; it is made where it is not there.
        say: is told when another process is waited for.

    Raises:
        InputError: another process holds it for 30 s, or it cannot be made.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - start-up time

    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=PATIENCE_S)
        except Timeout:
            say(f"another hwledger is changing the catalogue; waiting up to {GIVE_UP_S:.0f} s for it")
            lock.acquire(timeout=GIVE_UP_S - PATIENCE_S)
    except Timeout:
        raise InputError(
            f"{path}: another hwledger has held this for {GIVE_UP_S:.0f} s; end that one and try again"
        ) from None
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the catalogue cannot be locked for a change ({why})") from None
    try:
        yield
    finally:
        lock.release()
