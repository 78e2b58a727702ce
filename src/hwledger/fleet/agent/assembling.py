"""Puts an agent together from its folder."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final

from hwledger.errors import InputError
from hwledger.fleet.agent.client import Client
from hwledger.fleet.agent.doing import own_doers
from hwledger.fleet.agent.inventory import Inventory
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.renewal import Credentials
from hwledger.fleet.agent.sampling import Sampling
from hwledger.fleet.agent.spool import Spool
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.verbs import Doer, Orders
from hwledger.fleet.agent.witness import Witness
from hwledger.fleet.wire.tokens import read_address
from hwledger.ledger.event import new_id
from hwledger.telemetry.snapshot import Snapshot

_STOPPING_SECONDS: Final = 5.0


def _microseconds() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Surroundings:
    """What an agent gets from the machine; tests give their own.

    Attributes:
        look: gives what is measured now.
        version: of hwledger.
        doers: of verbs that need rooms above the fleet.
        clock: microseconds since 1970.
        now: seconds of a clock that never jumps.
        random: gives so many unpredictable bytes.
        chance: for the jitter.
    """

    look: Callable[[], Snapshot]
    version: str
    doers: Mapping[str, Doer] = field(default_factory=dict)
    clock: Callable[[], int] = _microseconds
    now: Callable[[], float] = time.monotonic
    random: Callable[[int], bytes] = os.urandom
    chance: Random = field(default_factory=SystemRandom)


def assembled(home: Home, around: Surroundings) -> Agent:
    """Return the agent of a folder, ready to run.

    Raises:
        MissingError: it has joined no fleet.
        MalformedError: a file in the folder is damaged.
        FullError: its spool cannot be written.
    """
    enrolment = home.enrolment()
    _saying(home)("")
    boot = new_id(around.clock(), around.random(10))
    spool = Spool(home.folder)
    producer = Producer(spool, enrolment.source, boot, around.clock, around.random)
    doers: dict[str, Doer] = dict(around.doers)
    agent = Agent(
        host=enrolment.host, boot=boot, version=around.version,
        connect=lambda: Client(enrolment.server, home.context()),
        spool=spool, producer=producer,
        sampling=Sampling(around.look, around.clock, _kept(spool, boot), boot),
        witness=Witness(home.folder, enrolment.checkpoint_key), orders=Orders(home, doers),
        inventory=Inventory(around.look, enrolment.name, around.version),
        credentials=Credentials(home, read_address(enrolment.server)[0], around.chance),
        clock=around.clock, now=around.now, chance=around.chance, said=_saying(home),
    )  # fmt: skip
    doers |= own_doers(agent)
    producer.add("agent.started", f"host/{agent.host}", {"host": agent.host, "version": around.version})
    return agent


def _saying(home: Home) -> Callable[[str], None]:
    def said(text: str) -> None:
        with contextlib.suppress(InputError):  # a full disk; the log has it as well
            home.keep_trouble(text)

    return said


def _kept(spool: Spool, boot: str) -> Callable[[int, bytes], object]:
    return lambda seq, body: spool.add_telemetry(boot, seq, body)


def live(agent: Agent) -> bool:
    """Run an agent until it is told to end; return whether a command told it to, and not a signal."""
    measuring = threading.Thread(target=agent.measure, name="hwledger telemetry", daemon=True)
    measuring.start()
    try:
        agent.run()
    finally:
        agent.ending.set()
        measuring.join(_STOPPING_SECONDS)
        agent.finish()
    return agent.stopped
