"""An agent without TLS, whose clock is turned by hand: it speaks to ``support.agent_server``."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hwledger.fleet.agent.client import Client
from hwledger.fleet.agent.doing import own_doers
from hwledger.fleet.agent.inventory import Inventory
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.renewal import Credentials
from hwledger.fleet.agent.sampling import Sampling
from hwledger.fleet.agent.spool import LARGEST_BYTES, Spool
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.verbs import Doer, Orders
from hwledger.fleet.agent.witness import Witness
from support.agent_server import HEADER
from support.eight_gpus import EightGpus
from support.reporting import A, Chance, Clock

BOOT = "boot-agent-0001"
SECONDS = 20.0


def make_agent(  # noqa: PLR0913 - what a test may want to be otherwise
    folder: Path,
    address: str,
    key: str,
    clock: Clock,
    *,
    host: str = A,
    boot: str = BOOT,
    doers: Mapping[str, Doer] | None = None,
    headers: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
    spool_bytes: int = LARGEST_BYTES,
    look: Callable[[], Any] | None = None,
    offset_seconds: float = 0,
) -> Agent:
    """Return an agent of a folder.

    Args:
        folder: its folder.
        address: of its server, or of what stands before that.
        key: who signs the ledger's checkpoints.
        clock: of everybody.
        host: who it is.
        boot: its run.
        doers: of verbs, over its own.
        headers: what says who it is.
        credentials: its certificate.
        spool_bytes: of the ring.
        look: what it measures.
        offset_seconds: by how much its clock is ahead.
    """
    home, spool, seen = Home(folder), Spool(folder, spool_bytes), look or EightGpus()

    def own_clock() -> int:
        return clock() + int(offset_seconds * 1_000_000)

    producer = Producer(spool, f"spiffe://example.org/agent/{host}", boot, own_clock, Chance())
    known: dict[str, Doer] = {}
    agent = Agent(
        host=host, boot=boot, version="0.1.0",
        connect=lambda: Client(address, None, headers or {HEADER: host}, SECONDS),
        spool=spool, producer=producer,
        sampling=Sampling(seen, own_clock, lambda seq, body: spool.add_telemetry(boot, seq, body), boot),
        witness=Witness(folder, key), orders=Orders(home, known), inventory=Inventory(seen, "box", "0.1.0"),
        credentials=credentials, clock=own_clock, now=lambda: clock() / 1_000_000, chance=random.Random(1),
    )  # fmt: skip
    known |= own_doers(agent) | dict(doers or {})
    return agent
