"""Starting a server: its ledger, its listeners, and an end that loses nothing."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import AlteredError, BusyError, HwledgerError, UnreachableError, UsageError
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.context import Fleet
from hwledger.fleet.notary import Notary
from hwledger.fleet.running import Running, found_running, is_running, say_running, unsay_running
from hwledger.fleet.segments import Segments
from hwledger.fleet.users import ensure_admin_token
from hwledger.fleet.views import projections
from hwledger.history import ledger_name
from hwledger.ledger.keys import note_path
from hwledger.ledger.opening import file_of, open_store
from hwledger.server import reporting
from hwledger.server.agents import agents_app
from hwledger.server.api.app import api
from hwledger.server.around import Around
from hwledger.server.enrolling import Offer
from hwledger.server.enrolling import routes as enrolling_routes
from hwledger.server.health import Readiness
from hwledger.server.keeping import keep_certificates, keep_ledger, keep_signing
from hwledger.server.listening import Listener, Listening, Places, bound, listener, port_of
from hwledger.server.pulse import Pulse
from hwledger.server.services import host_services
from hwledger.server.side import Side
from hwledger.server.tls import agents_context, public_context

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from hwledger.ledger.writer import SqlStore

THREADS: Final = 128
"""Requests that wait for the disk side by side; one commit takes all that wait."""
KEYS: Final = "ledger-keys"
PATIENCE_SECONDS: Final = 2.0
"""How long a database server may take to notice that the last server of this ledger is gone."""
AGAIN_SECONDS: Final = 60.0
"""How long a ledger that was lost while the server ran is tried to be opened again."""
_LOOK_SECONDS: Final = 0.005
_PAUSE_SECONDS: Final = 0.5
_LOG: Final = logging.getLogger("hwledger.server")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    Attributes:
        ledger: a file, or the address of a ledger: ``sqlite:///…``, ``postgresql://…``.
        folder: of keys, tokens, telemetry and what says where it runs.
        places: where it listens.
    """

    ledger: str | Path
    folder: Path
    places: Places = field(default_factory=Places)

    @property
    def file(self) -> Path | None:
        """Return the file of the ledger; ``None``: it is on a database server."""
        return file_of(self.ledger)

    @property
    def name(self) -> str:
        """Return which ledger it is, as it can be printed."""
        return ledger_name(self.file or str(self.ledger))


def up(settings: Settings, say: Callable[[Running], None] = lambda _: None) -> None:
    """Serve until a signal ends it.

    A ledger whose database server ends the session is opened again, and served on by the same listeners.

    Args:
        settings: what it is started with.
        say: called once when it answers, with where it does.

    Raises:
        UsageError: an address cannot be bound, or must not be without TLS.
        BusyError: another server has the ledger.
        HwledgerError: the ledger cannot be opened, or is lost and cannot be opened again.
    """
    with _bound(settings) as listening:
        lost: HwledgerError | None = None
        told: Callable[[Running], None] = say
        while True:
            with _reopened(settings, lost) if lost else opened(settings) as store:
                lost = _served(settings, store, listening, told)
            if lost is None:
                return
            told = _nobody


@contextmanager
def _bound(settings: Settings) -> Iterator[Listening]:
    """Give the sockets; where another server of this ledger has them, that is what is wrong."""
    with ExitStack() as stack:
        try:
            listening = stack.enter_context(bound(settings.places))
        except UsageError:
            if is_running(settings.folder):
                _refuse_second(settings)
            raise
        yield listening


def _refuse_second(settings: Settings) -> None:
    """Say where the server of this ledger is, if the one that says it runs here is that.

    Raises:
        BusyError: it is.
    """
    other = found_running(settings.folder)
    if other is not None and other.ledger == settings.name:
        raise BusyError(
            f"{settings.name}: a server has this ledger already, process {other.pid} at {other.address};"
            " stop it first, or give another --ledger"
        )


def _nobody(_: Running) -> None:
    """Say nothing."""


@contextmanager
def opened(settings: Settings) -> "Iterator[SqlStore]":
    """Give the ledger of a server, held against all others that would write it.

    Raises:
        BusyError: another process has it; where it is a server, with where that answers.
    """
    try:
        patience = 0 if settings.file else PATIENCE_SECONDS
        store = open_store(settings.ledger, projections=projections(), patience_seconds=patience)
    except BusyError:
        _refuse_second(settings)
        raise
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _reopened(settings: Settings, lost: HwledgerError) -> "Iterator[SqlStore]":
    """Give a ledger again that was lost, as soon as it can be had."""
    end = time.monotonic() + AGAIN_SECONDS
    while True:
        with ExitStack() as stack:
            try:
                store = stack.enter_context(opened(settings))
            except (BusyError, UnreachableError) as error:
                if time.monotonic() >= end:
                    raise
                _LOG.warning("the ledger cannot be opened yet", extra={"why": str(error), "lost": str(lost)})
            else:
                _LOG.warning("the ledger is open again", extra={"ledger": store.name})
                yield store
                return
        time.sleep(_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class Site:
    """All that the listeners of a server are made of."""

    store: "SqlStore"
    side: Side
    authorities: Authorities
    notary: Notary
    segments: Segments
    listening: Listening

    @property
    def offer(self) -> Offer:
        """Return what a host is told along with its certificate."""
        return Offer(f":{port_of(self.listening.agents)}", self.notary.key)


def _served(
    settings: Settings, store: "SqlStore", listening: Listening, say: Callable[[Running], None]
) -> HwledgerError | None:
    """Serve until a signal, or until the ledger is lost; return why it is, or ``None``."""
    with _site(settings, store, listening) as site:
        running = Running(
            listening.local_address, os.getpid(), settings.name, version("hwledger"),
            listening.public_address, listening.agents_address,
        )  # fmt: skip
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(_serve(site, settings.folder, running, say))
        finally:
            unsay_running(settings.folder, os.getpid())


@contextmanager
def _site(settings: Settings, store: "SqlStore", listening: Listening) -> Iterator[Site]:
    """Give what the listeners are made of; keys and tokens are made where there are none.

    Raises:
        AlteredError: the ledger is not the one that was signed last.
        HwledgerError: something of it cannot be read or written.
    """
    fleet = Fleet(store, settings.folder)
    authorities = Authorities.open(settings.folder, fleet.trust_domain, fleet.clock)
    notary = Notary(fleet, settings.folder / KEYS)
    _sign_first(notary, note_path(settings.folder / KEYS, store.origin))
    ensure_admin_token(fleet)
    file = settings.file
    with ExitStack() as stack:
        segments = Segments(settings.folder)
        stack.callback(segments.close)
        readiness = Readiness(store, file.parent if file else None)
        stack.callback(readiness.close)
        side = Side(
            fleet, readiness, Pulse(store), services=host_services(listening.public_address, authorities)
        )
        yield Site(store, side, authorities, notary, segments, listening)
        with contextlib.suppress(HwledgerError):  # of a ledger that is lost, or as it was signed last
            notary.note()


def _sign_first(notary: Notary, kept: Path) -> None:
    """Sign what the ledger is now, which has to continue what was signed last.

    Raises:
        AlteredError: it does not.
    """
    try:
        notary.note()
    except AlteredError as error:
        way_out = f"put back what is missing, or move {kept} away to go on with what there is"
        raise AlteredError(f"{error}; {way_out}", error.seq) from None


async def _serve(
    site: Site, folder: Path, running: Running, say: Callable[[Running], None]
) -> HwledgerError | None:
    import anyio.to_thread  # noqa: PLC0415 - beside its use

    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    ending, fleet = asyncio.Event(), site.side.fleet
    names, authorities = site.listening.names, site.authorities
    contexts = public_context(authorities, names), agents_context(authorities, names)
    listeners = _listeners(site, *contexts)
    sockets = (site.listening.local, site.listening.public, site.listening.agents)
    serving = [asyncio.create_task(_on(one, at)) for one, at in zip(listeners, sockets, strict=True)]

    def stop() -> None:
        ending.set()
        site.side.pulse.close()
        fleet.live.wake_all()
        for one in listeners:
            one.force_exit, one.should_exit = one.should_exit, True

    with _stopping(stop):
        await _started(listeners, serving)
        say_running(folder, running)
        say(running)
        lost = asyncio.create_task(keep_ledger(site.store, stop, ending))
        keeping = (
            asyncio.create_task(reporting.keep_watch(fleet, site.segments, ending)),
            asyncio.create_task(keep_certificates(authorities, names, *contexts, ending)),
            asyncio.create_task(keep_signing(site.notary, ending)),
        )
        await asyncio.gather(*serving)
        ending.set()
        await asyncio.gather(*keeping)
        return await lost


def _listeners(site: Site, public: Any, agents: Any) -> tuple[Listener, Listener, Listener]:
    """Return the listeners: local and public serve the same, agents what certificates open."""
    side, authorities = site.side, site.authorities
    users = api(side, enrolling_routes(side.fleet, authorities, site.offer))
    reports = reporting.routes(side.fleet, site.segments, site.notary)
    members = Around(agents_app(side.fleet, authorities, reports, site.offer), side.metrics)
    return listener(users), listener(users, public), listener(members, agents)


async def _on(one: Listener, at: "socket.socket") -> None:
    """Serve on a socket that stays bound when it is over: the next that serves has those who wait."""
    await one.serve([at.dup()])


async def _started(listeners: Sequence[Listener], serving: Sequence["asyncio.Task[None]"]) -> None:
    """Return once all listeners answer, or one ended."""
    ended = asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    waiting = asyncio.ensure_future(ended)
    while not all(one.started for one in listeners):
        done, _ = await asyncio.wait([waiting], timeout=_LOOK_SECONDS)  # uvicorn has a flag for it, alone
        if done:
            break
    waiting.cancel()


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Stop on SIGINT and SIGTERM: streams end, requests are answered; a second signal waits for nothing."""
    loop = asyncio.get_running_loop()

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
