"""Starting a server: its ledger, its listeners, and an end that loses nothing."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from hwledger.errors import BusyError, UsageError
from hwledger.fleet.context import Fleet
from hwledger.fleet.running import Running, found_running, say_running, unsay_running
from hwledger.fleet.users import ensure_admin_token
from hwledger.fleet.views import projections
from hwledger.ledger.sqlite import SqliteStore
from hwledger.server.api.app import api
from hwledger.server.health import Readiness
from hwledger.server.pulse import Pulse
from hwledger.server.side import Side

if TYPE_CHECKING:
    from types import FrameType

    from hwledger.ledger.store import Store

LOCAL_PORT: Final = 8470
LOOPBACK: Final = "127.0.0.1"
GRACE_SECONDS: Final = 10
"""How long requests that are being answered may take when the server stops."""
THREADS: Final = 128
"""Requests that wait for the disk side by side; one commit takes all that wait."""
BACKLOG: Final = 512
_LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    Attributes:
        ledger: the file of its ledger.
        folder: of keys, tokens and what says where it runs.
        host: the address that the local listener is bound to.
        port: of the local listener; 0: any that is free.
    """

    ledger: Path
    folder: Path
    host: str = LOOPBACK
    port: int = LOCAL_PORT


def up(settings: Settings, say: Callable[[Running], None] = lambda _: None) -> None:
    """Serve until a signal ends it.

    Args:
        settings: what it is started with.
        say: called once when it answers, with where it does.

    Raises:
        UsageError: an address cannot be bound, or must not be without TLS.
        BusyError: another server has the ledger.
        HwledgerError: the ledger cannot be opened.
    """
    with bound(settings.host, settings.port) as listening, opened(settings) as store:
        fleet = Fleet(store, settings.folder)
        ensure_admin_token(fleet)
        readiness = Readiness(store, settings.ledger.parent)
        side = Side(fleet, readiness, Pulse(store))
        running = Running(address_of(listening), os.getpid(), str(settings.ledger), version("hwledger"))
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(side, listening, settings.folder, running, say))
        finally:
            readiness.close()
            unsay_running(settings.folder, os.getpid())


@contextmanager
def opened(settings: Settings) -> "Iterator[Store]":
    """Give the ledger of a server, held against all others that would write it.

    Raises:
        BusyError: another process has it; where it is a server, with where that answers.
    """
    try:
        store = SqliteStore(settings.ledger, projections=projections())
    except BusyError as error:
        other = found_running(settings.folder)
        if other is None or other.ledger != str(settings.ledger):
            raise
        raise BusyError(
            f"{settings.ledger}: a server has this ledger already, process {other.pid} at {other.address};"
            " stop it first, or give another --ledger"
        ) from error
    try:
        yield store
    finally:
        store.close()


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens on loopback.

    Raises:
        UsageError: the address is not on loopback, or cannot be listened on.
    """
    if not is_loopback(host):
        raise UsageError(
            f"{host} is not this machine alone, and the API is not served without TLS there; use 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror}); give another --port"
        ) from None
    with listening:
        yield listening


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(listening: socket.socket) -> str:
    """Return the address of a socket as one types it."""
    host, port, *_ = listening.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener(uvicorn.Server):
    """A listener of several in one process: signals go to all of them, from one place."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listener(app: Any, **more: Any) -> Listener:
    """Return a listener of an application; it is served with the sockets that it is given."""
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, date_header=True,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE_SECONDS, backlog=BACKLOG,
        timeout_keep_alive=75, **more,
    )  # fmt: skip
    return Listener(config)


async def _serve(
    side: Side,
    listening: socket.socket,
    folder: Path,
    running: Running,
    say: Callable[[Running], None],
) -> None:
    import anyio.to_thread  # noqa: PLC0415 - beside its use

    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    local = listener(api(side))
    serving = [asyncio.create_task(local.serve([listening]))]
    with _stopping([local], side.pulse):
        await _started([local], serving)
        say_running(folder, running)
        say(running)
        await asyncio.gather(*serving)


async def _started(listeners: Sequence[Listener], serving: Sequence["asyncio.Task[None]"]) -> None:
    """Return once all listeners answer, or one ended."""
    ended = asyncio.gather(*serving, return_exceptions=True)
    while not all(one.started for one in listeners):
        if await _within(ended, _LOOK_SECONDS):
            break


async def _within(waited: "asyncio.Future[Any]", seconds: float) -> bool:
    """Return whether something ends within so many seconds; uvicorn has a flag for having started, alone."""
    done, _ = await asyncio.wait([waited], timeout=seconds)
    return bool(done)


@contextmanager
def _stopping(listeners: Sequence[Listener], pulse: Pulse) -> Iterator[None]:
    """Stop on SIGINT and SIGTERM: streams end, requests are answered; a second signal waits for nothing."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        pulse.close()
        for one in listeners:
            one.force_exit, one.should_exit = one.should_exit, True

    def heard(number: int, frame: "FrameType | None") -> None:
        del number, frame
        loop.call_soon_threadsafe(stop)

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(TypeError):
                signal.signal(number, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes event loops: uvloop's hold a connection in a sixth of the memory."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on every system

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
