"""Asks every source in a thread of its own, so that one that hangs holds up nobody."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Self

from hwledger.errors import HwledgerError
from hwledger.telemetry.merge import merged_devices, merged_host
from hwledger.telemetry.present import vendors_here
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, ProcessSnapshot, Sample, Snapshot
from hwledger.telemetry.stale import staled
from hwledger.telemetry.system import System

STALE_AFTER_INTERVALS: Final = 2
VENDORS: Final = frozenset({"NVIDIA", "AMD", "Intel", "Apple"})
"""Whose devices the kernel can be asked for; of the others' sources nobody knows whether they are needed."""
PATIENCE_S: Final = 5.0
"""How long a single look waits for a source; tools are given longer only where somebody watches."""

HANGS: Final = "its driver or tool hangs; the kernel's log (dmesg) may say why"
SLOW: Final = "it may only be slow: --wait waits longer"


class Collector:
    """Keeps the newest sample of every source, and gives all of them as one snapshot at once.

    Threads are daemons: one that hangs in a driver cannot be ended, and an interpreter that leaves does not
    wait for it.

    Args:
        samplers: the sources, in the order in which they are believed.
        system: whose clock counts.
        interval_s: seconds between two samples of a source whose pace allows it; ``None``: each is asked
            once.
    """

    def __init__(
        self, samplers: Sequence[Sampler], *, system: System | None = None, interval_s: float | None = None
    ) -> None:
        self._system = system or System()
        self._interval_s = interval_s
        self._sources = tuple(_Source(each, self._system, interval_s) for each in samplers)
        by_name = {source.sampler.name: source for source in self._sources}
        for source in self._sources:
            source.betters = tuple(
                by_name[name] for name in sorted(source.sampler.yields_to) if name in by_name
            )

    def __enter__(self) -> Self:
        for source in self._sources:
            source.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, limit_s: float = PATIENCE_S) -> bool:
        """Wait until every source has answered once, or the time is up; return whether all have."""
        end = self._system.clock() + limit_s
        return all(source.answered.wait(max(0.0, end - self._system.clock())) for source in self._sources)

    def snapshot(self) -> Snapshot:
        """Return what is known now; never waits for a source.

        Values of a source that has not answered for two intervals are stale.
        """
        now = self._system.clock()
        samples = [source.latest(now) for source in self._sources]
        return Snapshot(
            time=datetime.now(UTC),
            at=now,
            host=merged_host(samples),
            devices=merged_devices(samples),
            engines=tuple(engine for sample in samples for engine in sample.engines),
            checks=tuple(source.checked(now) for source in self._sources),
            troubles=tuple(dict.fromkeys(line for sample in samples for line in sample.troubles)),
            peers=tuple(peer for sample in samples for peer in sample.peers),
        )

    def close(self) -> None:
        """Ask no more; sources that answer let go of what they hold."""
        for source in self._sources:
            source.stop()


class _Source:
    """One sampler, its thread, and the newest that it said."""

    def __init__(self, sampler: Sampler, system: System, interval_s: float | None) -> None:
        self.sampler = sampler
        self.betters: tuple[_Source, ...] = ()
        self.check: Check | None = None
        self.known = threading.Event()
        self.answered = threading.Event()
        self._system = system
        self._once = interval_s is None
        self._pace = max(interval_s or 0.0, sampler.pace.least_seconds)
        self._sample = Sample()
        self._asked = system.clock()
        self._at: float | None = None
        self._looked: float | None = None
        self._held: dict[str, tuple[ProcessSnapshot, ...] | Absent] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"hwledger {sampler.name}", daemon=True)

    def start(self) -> None:
        self._asked = self._system.clock()
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()

    def latest(self, now: float) -> Sample:
        """Return the newest sample, stale where it is older than two intervals."""
        late = self._late(now)
        if self._at is None or late is None:
            return self._sample
        return staled(self._sample, f"{self.sampler.name} has not answered for {late:.0f} s")

    def checked(self, now: float) -> Check:
        """Return whether the source works, by now."""
        late, check, name = self._late(now), self.check, self.sampler.name
        if late is not None:
            found, remedy = f"no answer for {late:.0f} s", HANGS
        elif check is not None and (self._at is not None or not check.works):
            return check
        else:  # what it would tell is missing, whatever its check found
            found, remedy = f"no answer yet, after {now - self._asked:.1f} s", SLOW
        return Check(name, works=False, found=found, reason=Absent(Reason.STALE, found, name), remedy=remedy)

    def _late(self, now: float) -> float | None:
        """Return for how many seconds an answer is missing that should have come."""
        since = self._asked if self._at is None else self._at
        if self._once and self._at is not None:
            return None
        allowed = STALE_AFTER_INTERVALS * self._pace if self._at is not None else PATIENCE_S
        return now - since if now - since > allowed else None

    def _run(self) -> None:
        try:
            self._work()
        except HwledgerError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a sampler must not end the program; the check says it
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self.known.set()
            self.answered.set()
            with contextlib.suppress(Exception):
                self.sampler.close()

    def _work(self) -> None:
        self.check = self._judged()
        self.known.set()
        if not self.check.works:
            self._at = self._system.clock()
            self._once = True  # there is nothing that could become stale
            return
        while not self._ending.is_set():
            started = self._system.clock()
            self._take(started)
            self.answered.set()
            if self._once:
                return
            self._ending.wait(max(0.0, self._pace - (self._system.clock() - started)))

    def _judged(self) -> Check:
        """Return the sampler's own check, or that a better one works and this one is not needed."""
        for better in self.betters:
            better.known.wait(PATIENCE_S)
            if better.check is not None and better.check.works:
                name = better.sampler.name
                return Check(self.sampler.name, works=False, found=f"not asked: {name} tells the same")
        check = self.sampler.check()
        return replace(check, here=True if check.works else self._here())

    def _here(self) -> bool | None:
        """Return whether a device of the sampler's vendor is here; ``None`` where that is not known."""
        vendors = vendors_here(self._system)
        known = self.sampler.vendor in VENDORS
        return self.sampler.vendor in vendors if vendors is not None and known else None

    def _take(self, started: float) -> None:
        pace = self.sampler.pace.processes_seconds
        look = self._looked is None or started - self._looked >= pace
        sample = self.sampler.sample(processes=look)
        if look:
            self._looked = started
            self._held = {device.key: device.processes for device in sample.devices}
        else:
            sample = replace(sample, devices=tuple(self._with_processes(d) for d in sample.devices))
        self._sample, self._at = sample, self._system.clock()

    def _with_processes(self, device: DeviceSnapshot) -> DeviceSnapshot:
        """Return a device with the processes of the last look; one that was lost since has none any more."""
        if isinstance(device.processes, Absent) and device.processes.reason is Reason.LOST_DEVICE:
            return device
        return replace(device, processes=self._held.get(device.key, device.processes))

    def _fail(self, why: str) -> None:
        name = self.sampler.name
        self._sample = Sample(troubles=(f"{name} failed: {why}",))
        self._at, self._once = self._system.clock(), True
        self.check = Check(
            name, works=False, found=f"failed: {why}", reason=Absent(Reason.UNPARSED, why, name),
            remedy="please report this as a defect, with the output of --doctor",
        )  # fmt: skip
