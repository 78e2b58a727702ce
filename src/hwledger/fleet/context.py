"""What the use cases of the fleet work on: a ledger, a name, a clock, chance and a folder."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hwledger.errors import UnknownOptionError
from hwledger.fleet.live import Live
from hwledger.ledger.event import Event, new_id
from hwledger.ledger.store import Store
from hwledger.ledger.types import shipped_types

TRUST_DOMAIN: Final = "hwledger.local"
"""Of a fleet that was given no other name."""


def _now() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Fleet:
    """One fleet, as its server knows it.

    Attributes:
        store: the ledger, with the projections of ``fleet.views``.
        folder: of what lies beside the ledger: keys, certificates, raw telemetry.
        trust_domain: the name in the SPIFFE URIs of its members.
        clock: microseconds since 1970, of the server; agents' clocks are data.
        random: gives so many unpredictable bytes.
        live: what is known of hosts since this process began, in memory alone.
    """

    store: Store
    folder: Path
    trust_domain: str = TRUST_DOMAIN
    clock: Callable[[], int] = _now
    random: Callable[[int], bytes] = os.urandom
    live: Live = field(default_factory=Live, compare=False, repr=False)

    def event(  # noqa: PLR0913 - the attributes of an envelope
        self,
        name: str,
        subject: str,
        data: Mapping[str, Any],
        *,
        component: str = "server",
        actor: str | None = None,
        cause: str | None = None,
    ) -> Event:
        """Return an event of the server, checked against its type.

        Args:
            name: of the type, without prefix and version: ``host.enrolled``; the newest version is meant.
            subject: what it happened to: ``host/<id>``.
            data: the particulars.
            component: of the server, which says so.
            actor: on whose behalf: ``user:anna``.
            cause: the id of what led to it.

        Raises:
            MalformedError: the data is not what the type demands.
            UnknownOptionError: there is no such type.
        """
        moment, types = self.clock(), shipped_types()
        newest = types.newest(name)
        if newest is None:
            raise UnknownOptionError("type of event", name, sorted({one for one, _ in types.known}))
        made = Event(
            id=new_id(moment, self.random(10)),
            source=f"spiffe://{self.trust_domain}/server/{component}",
            type=newest.full_name,
            subject=subject,
            time_microseconds=moment,
            data=data,
            actor=actor,
            cause=cause,
        )
        types.check(made)
        return made
