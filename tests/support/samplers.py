"""A source of telemetry that does what a test tells it to."""

import threading
import time
from collections.abc import Callable

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.telemetry.system import System


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


AS_OFTEN = Pace()


class FakeSampler:
    """Satisfies ``Sampler``.

    Attributes:
        looks: for each sample, whether processes were asked for.
        hang: is waited for before each sample; set at first.
    """

    def __init__(  # noqa: PLR0913 - what a test may want
        self,
        name: str = "fake",
        clock: Callable[[], float] = time.monotonic,
        *,
        works: bool = True,
        yields_to: frozenset[str] = frozenset(),
        pace: Pace = AS_OFTEN,
        error: Exception | None = None,
        keys: tuple[str, ...] = ("0000:01:00.0",),
    ) -> None:
        self.name = name
        self.vendor = "Fake"
        self.coverage = Coverage(gives=frozenset({Quantity.MEMORY_TOTAL, Quantity.MEMORY_USED}))
        self.pace = pace
        self.yields_to = yields_to
        self.looks: list[bool] = []
        self.closed = threading.Event()
        self.hang = threading.Event()
        self.hang.set()
        self._clock = clock
        self._works = works
        self._error = error
        self._keys = keys

    def check(self) -> Check:
        """Return what the test wants."""
        if self._works:
            return Check(self.name, works=True, found="made for a test")
        reason = Absent(Reason.ABSENT_TOOL, "made not to work", self.name)
        return Check(self.name, works=False, found="made not to work", remedy="nothing", reason=reason)

    def sample(self, *, processes: bool) -> Sample:
        """Return a device with 8 GiB, of which 2 are used, and a process where processes are asked for."""
        assert self.hang.wait(30)
        self.looks.append(processes)
        if self._error is not None:
            raise self._error
        gauge = Gauge(self.name, self._clock())
        held = (ProcessSnapshot(41, "python", gauge(Quantity.MEMORY_USED, 1 << 30)),)
        told = {
            Quantity.MEMORY_TOTAL: gauge(Quantity.MEMORY_TOTAL, 8 << 30),
            Quantity.MEMORY_USED: gauge(Quantity.MEMORY_USED, 2 << 30),
        }
        seen = [DeviceSnapshot(key, f"Card {self.name}", "Fake", readings=told) for key in self._keys]
        if processes:
            seen = [DeviceSnapshot(d.key, d.name, d.vendor, readings=told, processes=held) for d in seen]
        return Sample(devices=tuple(seen))

    def close(self) -> None:
        """Note it."""
        self.closed.set()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fail where it does not within half a minute."""
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def system_at(clock: Clock) -> System:
    """Return this machine with a test's clock."""
    return System(clock=clock)
