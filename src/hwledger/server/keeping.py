"""What a server does by itself while it runs: certificates, checkpoints, and an eye on its ledger."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from hwledger.errors import HwledgerError
from hwledger.fleet.certificates import Authorities
from hwledger.fleet.notary import Notary
from hwledger.server.tls import renew_server, trust_agents

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hwledger.ledger.event import Event
    from hwledger.ledger.writer import SqlStore

LOOK_SECONDS: Final = 1.0
SIGN_SECONDS: Final = 30.0
CERTIFICATE_SECONDS: Final = 3600.0
_LOG: Final = logging.getLogger("hwledger.server")


async def keep_certificates(
    authorities: Authorities,
    names: Sequence[str],
    public: ssl.SSLContext,
    agents: ssl.SSLContext,
    ending: asyncio.Event,
) -> None:
    """Make the server's certificate anew when it is due, and trust a new authority of agents."""

    def renew() -> None:
        for context in (public, agents):
            renew_server(context, authorities, names)
        trust_agents(agents, authorities)

    await _every(CERTIFICATE_SECONDS, renew, ending)


async def keep_signing(notary: Notary, ending: asyncio.Event) -> None:
    """Sign what the ledger is, so that what is taken away from it later shows, also where no agent asks."""
    await _every(SIGN_SECONDS, notary.note, ending)


async def keep_ledger(
    store: "SqlStore", stop: Callable[[], None], ending: asyncio.Event
) -> HwledgerError | None:
    """Stop the server when its ledger takes nothing more, whatever is done; return why, or ``None``.

    A session with a database server that ended is noticed when it is used, so it is used each second.
    """
    while not ending.is_set():
        with suppress(HwledgerError):  # a disk that is full today has room tomorrow
            await run_in_threadpool(store.decide, _nothing)
        why = store.has_stopped()
        if why is not None:
            _LOG.error("the ledger is lost", extra={"why": str(why)})
            stop()
            return why
        await _pause(LOOK_SECONDS, ending)
    return None


def _nothing(_: "Connection") -> "Sequence[Event]":
    return ()


async def _every(seconds: float, job: Callable[[], Any], ending: asyncio.Event) -> None:
    """Do something again and again until the server ends; where it fails, say so and try it again."""
    while not ending.is_set():
        await _pause(seconds, ending)
        try:
            await run_in_threadpool(job)
        except HwledgerError as error:
            _LOG.error("something is to be seen to", extra={"why": str(error)})


async def _pause(seconds: float, ending: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(ending.wait(), seconds)
    except TimeoutError:
        return
