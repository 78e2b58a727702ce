"""The life of an agent: one thread that speaks to the server over one connection, and one that measures.

Between two heartbeats the connection waits for commands (a long poll); what is due interrupts nothing, since
the poll ends when the next thing is due.
"""

import base64
import binascii
import contextlib
import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hwledger.errors import FullError, HwledgerError, MalformedError, UnreachableError
from hwledger.fleet.agent.client import BackOff, Client, RefusedError
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.renewal import Term, renew
from hwledger.fleet.agent.sampling import Sampling
from hwledger.fleet.agent.sending import Sender
from hwledger.fleet.agent.spool import EVENT, TELEMETRY, Spool
from hwledger.fleet.agent.state import Home
from hwledger.fleet.agent.verbs import Order, Orders
from hwledger.fleet.agent.witness import Witness
from hwledger.fleet.wire.reading import moment_of
from hwledger.fleet.wire.reports import inventory_hash
from hwledger.ledger.event import time_text

POLL_SECONDS: Final = 30
FIRST_SECONDS: Final = 30
"""Between two heartbeats, before the server said otherwise."""
MOST_SECONDS: Final = 3600
SENDS_AT_ONCE: Final = 200
_MICROSECONDS: Final = 1_000_000
log = logging.getLogger("hwledger.agent")


@dataclass
class Agent:
    """One agent, with everything that it needs.

    Attributes:
        home: its folder.
        host: its id.
        boot: this run of it.
        version: of hwledger.
        client: its server.
        connect: makes the client anew, after the certificate changed.
        spool: what waits.
        producer: makes its events.
        sampling: makes its telemetry.
        witness: holds the server to its ledger.
        orders: does what it is told.
        inventory: gives what the host has.
        term: gives the life of its certificate; ``None``: it has none to renew.
        clock: microseconds since 1970.
        now: seconds of a clock that never jumps.
        chance: for the jitter.
    """

    home: Home
    host: str
    boot: str
    version: str
    client: Client
    connect: Callable[[], Client]
    spool: Spool
    producer: Producer
    sampling: Sampling
    witness: Witness
    orders: Orders
    inventory: Callable[[], Mapping[str, Any]]
    term: Callable[[], Term] | None
    clock: Callable[[], int]
    now: Callable[[], float]
    chance: random.Random = field(default_factory=random.SystemRandom)
    ending: threading.Event = field(default_factory=threading.Event)
    interval: float = FIRST_SECONDS
    want_inventory: bool = True
    renew_now: bool = False
    problem: str = ""
    greeted: float | None = None

    def __post_init__(self) -> None:
        self._due = self.now()
        self._back_off = BackOff(self.chance)
        self._server_offset = 0
        self._term = self.term() if self.term else None
        self._sender = Sender(self.spool, self.client, self.producer, self.host)

    def run(self) -> None:
        """Speak to the server until told to end; whatever fails is said and tried again."""
        while not self.ending.is_set():
            self.ending.wait(self.step())

    def step(self, poll_seconds: float = POLL_SECONDS) -> float:
        """Do what is due, then wait for commands; return how many seconds to wait before the next step."""
        try:
            self._speak(poll_seconds)
        except RefusedError as error:
            self._say(str(error))
            return self._back_off.refused() if error.denied else self._back_off.failed()
        except HwledgerError as error:
            self._say(str(error))
            return self._back_off.failed()
        if self.problem and self.witness.alarm is None:
            self._say("")
        self._back_off.succeeded()
        if self.witness.alarm is not None:
            return max(0.0, self._due - self.now())
        return 0.0

    def _speak(self, poll_seconds: float) -> None:
        if self.now() >= self._due:
            self._greet()
        if self.witness.alarm is not None:
            self._say(f"refuses the server: {self.witness.alarm['reason']}")
            return
        self.producer.flush()
        self.producer.tell_dropped(self.host)
        self._sender.send(SENDS_AT_ONCE)
        self._answer()
        self._renew_if_due()
        if not self.ending.is_set():
            self._poll(max(0.0, min(poll_seconds, self._due - self.now())))

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            log.warning(problem) if problem else log.info("the server answers again")

    def _greet(self) -> None:
        inventory = dict(self.inventory())
        answer = self.client.post("/a/v1/hello", self.hello(inventory))
        self.interval = _bounded(answer.get("next_in_seconds"))
        self._due = self.now() + self.interval
        self.greeted = self.now()
        self._take_time(answer.get("time"))
        self.want_inventory = answer.get("want_inventory") is True
        self.renew_now = self.renew_now or answer.get("renew") is True
        note = answer.get("checkpoint")
        whole = self.witness.look(note if isinstance(note, str) else None, _hashes(answer.get("consistency")))
        if whole:
            for kind, name in ((EVENT, "events_seq"), (TELEMETRY, "telemetry_seq")):
                seq = answer.get(name)
                self.spool.remove_up_to(kind, self.boot, seq if type(seq) is int else 0)
            if self.want_inventory:
                self._due = self.now()  # the server is told at once
        elif self.witness.alarm is not None and not self._alarmed:
            self._due = self.now()  # it is told at once, with the evidence
        self._alarmed = self.witness.alarm is not None

    _alarmed: bool = False

    def hello(self, inventory: Mapping[str, Any]) -> dict[str, Any]:
        """Return the next heartbeat."""
        seen = self.witness.seen
        told = {
            "protocol": 1, "boot": self.boot, "time": time_text(self.clock()), "version": self.version,
            "seen": None if seen is None else {"size": seen.size},
            "inventory_sha256": inventory_hash(inventory),
            "spool_bytes": self.spool.used_bytes(), "state": self._state(),
        }  # fmt: skip
        return {**told, "inventory": inventory} if self.want_inventory else told

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"waiting": self.spool.waiting(), "step_seconds": self.sampling.step_seconds}
        if self.producer.lost:
            found["lost_events"] = self.producer.lost
        if self.sampling.halved:
            found["rate_halved"] = self.sampling.halved
        if self.witness.alarm is not None:
            return {"alarm": self.witness.alarm}
        seen = self.witness.seen
        return (
            found if seen is None else {**found, "checkpoint": {"size": seen.size, "root": seen.root.hex()}}
        )

    def _take_time(self, text: Any) -> None:
        with contextlib.suppress(MalformedError):
            self._server_offset = moment_of(text, "the time of the server") - self.clock()
            self.producer.offset_ms = -self._server_offset // 1000

    def _answer(self) -> None:
        """Give the answers to commands that the server has not."""
        for command, answer in self.orders.answers().items():
            try:
                self.client.post(f"/a/v1/commands/{command}/ack", answer)
            except RefusedError as error:
                if not error.final and error.status != 404:  # noqa: PLR2004 - the server knows no such command
                    raise
            self.orders.taken(command)

    def _renew_if_due(self) -> None:
        if self._term is None or self.term is None:
            return
        if self.renew_now or self.clock() + self._server_offset >= self._term.renews:
            renew(self.home, self.client)
            self.client.close()
            self.client = self.connect()
            self._sender = Sender(self.spool, self.client, self.producer, self.host)
            self._term, self.renew_now = self.term(), False

    def _poll(self, seconds: float) -> None:
        """Wait for commands, and do those that come."""
        query = f"/a/v1/commands?cursor={self.orders.fence}&wait={int(seconds)}"
        found = self.client.get(query, seconds).get("commands")
        if not isinstance(found, list):
            raise UnreachableError("the server answers with no list of commands; install the same hwledger")
        for order in sorted((Order.read(one) for one in found), key=lambda one: one.fence):
            self.orders.do(order, self.clock() + self._server_offset)
        if found:
            self._answer()

    def measure(self) -> None:
        """Take telemetry each step until told to end; what fails is said, and the next is tried."""
        while not self.ending.wait(self.sampling.step_seconds):
            self.measure_once()

    def measure_once(self) -> None:
        """Take telemetry now."""
        try:
            self.sampling.take()
        except FullError as error:
            log.warning("%s", error)


def _bounded(seconds: Any) -> float:
    return float(seconds) if type(seconds) is int and 1 <= seconds <= MOST_SECONDS else FIRST_SECONDS


def _hashes(found: Any) -> list[bytes]:
    """Return the hashes of a proof; one that cannot be read is none, and proves nothing."""
    try:
        return [base64.b64decode(one, validate=True) for one in found] if isinstance(found, list) else []
    except (binascii.Error, ValueError, TypeError):
        return []
