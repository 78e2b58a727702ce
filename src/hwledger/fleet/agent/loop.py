"""The life of an agent: one thread that speaks to the server over one connection, and one that measures.

Between two heartbeats the connection waits for commands (a long poll); what is due interrupts nothing, since
the poll ends when the next thing is due. The first thing on a connection is a heartbeat, and nothing else is
said to a server before its checkpoint was found to continue the one that was seen.
"""

import base64
import binascii
import contextlib
import logging
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hwledger.errors import ConflictError, FullError, HwledgerError, MalformedError, UnreachableError
from hwledger.fleet.agent.client import BackOff, Client, RefusedError, TurnedAwayError
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.renewal import Credentials
from hwledger.fleet.agent.sampling import STEP_SECONDS, Sampling
from hwledger.fleet.agent.sending import Sender
from hwledger.fleet.agent.spool import EVENT, TELEMETRY, Spool
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
_UNKNOWN: Final = 404
log = logging.getLogger("hwledger.agent")


@dataclass
class Agent:
    """One agent, with everything that it needs.

    Attributes:
        host: its id.
        boot: this run of it.
        version: of hwledger.
        connect: makes the client of its server, with the certificate of now.
        spool: what waits.
        producer: makes its events.
        sampling: makes its telemetry.
        witness: holds the server to its ledger.
        orders: does what it is told.
        inventory: gives what the host has.
        credentials: its certificate; ``None``: it has none to renew.
        clock: microseconds since 1970.
        now: seconds of a clock that never jumps.
        chance: for the jitter.
        said: is told of each trouble, once, and with an empty text that it is over.
        ending: is set to end it.
        interval: seconds between two heartbeats.
        want_inventory: the next heartbeat has the inventory in it.
        problem: why it cannot speak to its server; empty: it can.
        stopped: a command ended it.
    """

    host: str
    boot: str
    version: str
    connect: Callable[[], Client]
    spool: Spool
    producer: Producer
    sampling: Sampling
    witness: Witness
    orders: Orders
    inventory: Callable[[], Mapping[str, Any]]
    credentials: Credentials | None
    clock: Callable[[], int]
    now: Callable[[], float]
    chance: random.Random = field(default_factory=random.SystemRandom)
    said: Callable[[str], object] = lambda _: None
    ending: threading.Event = field(default_factory=threading.Event)
    interval: float = FIRST_SECONDS
    want_inventory: bool = True
    problem: str = ""
    stopped: bool = False

    def __post_init__(self) -> None:
        self._due = self.now()
        self._back_off = BackOff(self.chance)
        self._server_offset = 0
        self._told_alarm, self._tells_seen = False, True
        self.begin()

    def begin(self) -> None:
        """Begin with a new client."""
        self.client = self.connect()
        self._sender = Sender(self.spool, self.client, self.producer, self.host)

    def run(self) -> None:
        """Speak to the server until told to end; whatever fails is said and tried again."""
        while not self.ending.is_set():
            self.ending.wait(self.step())

    def stop(self) -> None:
        """End soon; called from a signal handler or another thread."""
        self.ending.set()
        self.client.interrupt()

    def hurry(self) -> None:
        """Say the next heartbeat at once."""
        self._due = self.now()

    def step(self, poll_seconds: float = POLL_SECONDS) -> float:
        """Do what is due, then wait for commands; return how many seconds to wait before the next step."""
        try:
            self._speak(poll_seconds)
        except RefusedError as error:
            self._failed(error)
            return self._back_off.refused() if error.denied else self._back_off.failed(error.after_seconds)
        except HwledgerError as error:
            self._failed(error)
            return self._back_off.failed()
        self._back_off.succeeded()
        if self.witness.alarm is None:
            self._say("")
            return 0.0
        self.client.close()
        return max(0.0, self._due - self.now())

    def _failed(self, error: HwledgerError) -> None:
        if isinstance(error, TurnedAwayError) and self.credentials is not None:
            self.credentials.turned_away()
        if not self.ending.is_set():
            self._say(str(error))
        if isinstance(error, UnreachableError) and not isinstance(error, RefusedError):
            self.client.close()
            self._due = self.now()  # who answers next is held to the ledger before anything is said to it

    def _speak(self, poll_seconds: float) -> None:
        self._come_back_if_ended()
        if self.now() >= self._due:
            self._greet()
        if self.witness.alarm is not None:
            self._say(f"refuses the server: {self.witness.alarm['reason']}")
            return
        self._send()
        self._answer()
        self._renew_if_due()
        if not self.ending.is_set():
            self._poll(max(0.0, min(poll_seconds, self._due - self.now())))

    def _send(self) -> None:
        """Send what waits; a full disk, which cannot forget what was sent, stops nothing else."""
        try:
            self.producer.flush()
            self.producer.tell_dropped(self.host)
            self._sender.send(SENDS_AT_ONCE)
        except FullError as error:
            log.warning("%s", error)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            log.log(logging.WARNING if problem else logging.INFO, "%s", problem or "the server answers again")
            self.said(problem)

    def _greet(self) -> None:
        message = self.hello(dict(self.inventory()))
        said_seen = "checkpoint" in message["state"] or (not self._tells_seen and self.witness.alarm is None)
        answer = self.client.post("/a/v1/hello", message)
        self.interval = _bounded(answer.get("next_in_seconds"))
        self._back_off.pace(self.interval)
        self._due = self.now() + self.interval
        self._take_time(answer.get("time"))
        self.want_inventory = answer.get("want_inventory") is True
        if self.credentials is not None:
            self.credentials.taken(renew=answer.get("renew") is True)
        note = answer.get("checkpoint")
        whole = self.witness.look(note if isinstance(note, str) else None, _hashes(answer.get("consistency")))
        if whole:
            self._forget_what_arrived(answer)
        if (whole and self.want_inventory) or (not whole and not self._told_alarm):
            self._due = self.now()  # the server is told at once, of an alarm with the evidence
        self._told_alarm = not whole
        self._tells_seen = not (whole and said_seen)

    def _forget_what_arrived(self, answer: Mapping[str, Any]) -> None:
        for kind, name in ((EVENT, "events_seq"), (TELEMETRY, "telemetry_seq")):
            seq = answer.get(name)
            with contextlib.suppress(FullError):
                self.spool.remove_up_to(kind, self.boot, seq if type(seq) is int else 0)

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
        """Return what is not as it mostly is; every heartbeat carries it."""
        if self.witness.alarm is not None:
            return {"alarm": self.witness.alarm}
        told = {
            "waiting": {kind: count for kind, count in self.spool.waiting().items() if count},
            "step_seconds": self.sampling.step_seconds if self.sampling.step_seconds != STEP_SECONDS else 0,
            "lost_events": self.producer.lost,
            "rate_halved": self.sampling.halved,
        }
        seen = self.witness.seen if self._tells_seen else None
        found = {name: value for name, value in told.items() if value}
        return found | ({"checkpoint": {"size": seen.size, "root": seen.root.hex()}} if seen else {})

    def _take_time(self, text: Any) -> None:
        with contextlib.suppress(MalformedError):
            self._server_offset = moment_of(text, "the time of the server") - self.clock()
            self.producer.offset_ms = -self._server_offset // 1000

    def _server_time(self) -> int:
        return self.clock() + self._server_offset

    def _answer(self) -> None:
        """Give the answers to commands that the server has not."""
        for command, answer in self.orders.answers().items():
            try:
                self.client.post(f"/a/v1/commands/{command}/ack", answer)
            except RefusedError as error:
                if not error.final and error.status != _UNKNOWN:
                    raise
            self.orders.taken(command)

    def _renew_if_due(self) -> None:
        if self.credentials is not None and self.credentials.is_due(self._server_time()):
            self.credentials.renew(self.client)
            self.client.close()
            self.begin()

    def _come_back_if_ended(self) -> None:
        if self.credentials is None or not self.credentials.has_ended(self._server_time()):
            return
        with contextlib.suppress(ConflictError):
            self.credentials.come_back()
        self.client.close()
        self.begin()
        self._due = self.now()

    def _poll(self, seconds: float) -> None:
        """Wait for commands, and do those that come."""
        wait = math.ceil(seconds)
        query = f"/a/v1/commands?cursor={self.orders.fence}&wait={wait}"
        found = self.client.get(query, wait).get("commands")
        if not isinstance(found, list):
            raise UnreachableError("the server answers with no list of commands; install the same hwledger")
        for order in sorted((Order.read(one) for one in found), key=lambda one: one.fence):
            self.orders.do(order, self._server_time())
        if found:
            self._answer()

    def measure(self) -> None:
        """Take telemetry each step until told to end; what fails is said, and the next is tried."""
        due = self.now() + self.sampling.step_seconds
        while not self.ending.wait(max(0.0, due - self.now())):
            self.measure_once()
            due = max(self.now(), due + self.sampling.step_seconds)

    def measure_once(self) -> None:
        """Take telemetry now."""
        try:
            self.sampling.take()
        except FullError as error:
            log.warning("%s", error)

    def finish(self) -> None:
        """Keep what was measured until the next run, and close everything."""
        self.ending.set()
        with contextlib.suppress(FullError):
            self.sampling.flush()
        self.client.close()
        self.spool.close()


def _bounded(seconds: Any) -> float:
    return float(seconds) if type(seconds) is int and 1 <= seconds <= MOST_SECONDS else FIRST_SECONDS


def _hashes(found: Any) -> list[bytes]:
    """Return the hashes of a proof; one that cannot be read is none, and proves nothing."""
    try:
        return [base64.b64decode(one, validate=True) for one in found] if isinstance(found, list) else []
    except (binascii.Error, ValueError, TypeError):
        return []
