"""NVIDIA's devices through the driver's own library, calmly: no context, kept handles, few calls."""

from dataclasses import dataclass
from typing import Final

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.nvidia.asleep import sees_all_processes, sleeps, under_wsl
from hwledger.telemetry.nvidia.binding import Binding
from hwledger.telemetry.nvidia.cards import Card, Cards, DriverGoneError, answered
from hwledger.telemetry.nvidia.covers import COVERAGE
from hwledger.telemetry.nvidia.facts import SOURCE, Failure, failure_of
from hwledger.telemetry.nvidia.processes import ProcessLists
from hwledger.telemetry.nvidia.questions import (
    Question,
    busy_question,
    memory_question,
    quick_questions,
    slow_questions,
)
from hwledger.telemetry.nvidia.shown import KERNEL, lost_device, shown, sleeping_device
from hwledger.telemetry.quantity import DEVICE, Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason, Value
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.telemetry.system import System

NAME: Final = "nvml"
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
MISMATCH: Final = 18
"""NVML's code for a driver that was updated: a program keeps the library that it loaded before."""
START_ANEW: Final = "a program that ran meanwhile, as this one did, must be started anew"
GONE: Final = 1
"""NVML's code for a driver that was unloaded."""
NOT_FOUND: Final = 28
"""NVML's code for a device that is no longer there."""
HIDDEN: Final = "the driver does not tell how much memory the process holds"
HIDDEN_BY_WINDOWS: Final = "Windows manages the memory: NVML does not tell how much a process holds"
OWN_ONLY: Final = "only processes of this container can be seen, and none of them is on the device"
OWN_NOTE: Final = "only processes of this container can be seen: there may be others"
ASK: Final = "see whether nvidia-smi works, and what the kernel's log (dmesg) says"
OF_SLICES: Final = "in MIG mode the slices tell their processes"


class _Wait:
    """When to start the library anew: at once, then after 1, 2, 4 … 300 seconds."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._next = 0.0

    def due(self, now: float) -> bool:
        return now >= self._next

    def tried(self, now: float) -> None:
        self._seconds = min(LONGEST_WAIT_S, self._seconds * 2 or FIRST_WAIT_S)
        self._next = now + self._seconds

    def worked(self) -> None:
        self._seconds = self._next = 0.0


@dataclass(frozen=True, slots=True)
class _Session:
    """What is kept while the driver's library is started."""

    cards: Cards
    quick: tuple[Question, ...]
    slow: tuple[Question, ...]
    whole: tuple[Question, ...]
    part: tuple[Question, ...]
    lists: ProcessLists


def sampler(system: System) -> "NvmlSampler":
    """Return the source of NVIDIA's devices by NVML; nothing is loaded before it is asked."""
    return NvmlSampler(system)


class NvmlSampler:
    """NVIDIA's devices, by NVML; see ``Sampler``.

    What does not change is read once; slow or costly values (fan, link, errors) and the lists of processes
    only where processes are asked for, and keep their age between. When the driver was reloaded, or a device
    is lost, the library is started anew, with waits that double up to five minutes.

    Args:
        system: its clock, and where the kernel says which devices sleep.
    """

    name = NAME
    vendor = "NVIDIA"
    coverage: Coverage = COVERAGE
    pace = Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System) -> None:
        self._system = system
        self._binding = Binding()
        self._session: _Session | None = None
        self._why: Failure | None = None
        self._wait = _Wait()
        self._seen: dict[str, Card] = {}
        self._sees_all = True
        self._lost = False
        self._lines: list[str] = []

    def check(self) -> Check:
        """Return whether the driver answers; see ``Sampler``."""
        if self._session is None:
            self._start(self._system.clock())
        if self._session is None:
            why = self._why or failure_of(GONE)
            return Check(NAME, works=False, found=why.says, remedy=why.remedy or ASK, reason=why.absent)
        cards = self._session.cards
        told = ", ".join(str(each.value) for each in cards.driver.values() if isinstance(each, Value))
        found = f"{cards.count} device{'s' * (cards.count != 1)}{f' (driver {told})' if told else ''}"
        return Check(NAME, works=True, found=found)

    def sample(self, *, processes: bool) -> Sample:
        """Return every device now; see ``Sampler``."""
        now = self._system.clock()
        for first in (True, False):
            session = self._ready(now)
            if session is None:
                break
            try:
                if not first or not self._outdated(session, processes=processes):
                    return self._swept(session, Gauge(SOURCE, now), processes=processes)
            except DriverGoneError as gone:
                self._why = gone.failure
            self._stop()
            if first:  # what was reloaded, or shows other devices, is started anew at once
                self._start(now)
        return self._nothing(self._why or failure_of(GONE))

    def close(self) -> None:
        """Let go of the library."""
        self._stop()

    def _ready(self, now: float) -> _Session | None:
        """Return the library, started anew where a device is lost or nothing runs, and the time has come."""
        if (self._session is None or self._lost) and self._wait.due(now):
            self._stop()
            self._start(now)
        return self._session

    def _start(self, now: float) -> None:
        self._wait.tried(now)
        self._lost = False
        self._why = self._binding.start()
        if self._why is not None:
            return
        try:
            self._session = self._begun(Gauge(SOURCE, now))
        except DriverGoneError as gone:
            self._stop()
            self._why = gone.failure

    def _begun(self, gauge: Gauge) -> _Session:
        binding = self._binding
        windows = under_wsl(self._system) or self._system.platform == "win32"
        self._sees_all = windows or sees_all_processes(self._system)
        cards = Cards(binding, self._system, gauge)
        self._remember(cards)
        quick, slow = quick_questions(binding), slow_questions(binding)
        return _Session(
            cards, quick, slow, (*quick, *slow),
            (memory_question(binding), busy_question(binding)),
            ProcessLists(binding, HIDDEN_BY_WINDOWS if windows else HIDDEN),
        )  # fmt: skip

    def _remember(self, cards: Cards) -> None:
        """Name devices that cannot be asked as they were named before, and add those that went."""
        now = {card.key for card in cards.whole}
        gone = {each.index: each for key, each in self._seen.items() if key not in now}
        for card in cards.whole:
            before = self._seen.get(card.key) or gone.get(card.index)
            if card.handle is None and before is not None:
                card.key, card.name, card.uuid = before.key, before.name, before.uuid
                card.fixed = before.fixed
        now = {card.key for card in cards.whole}
        missing = [card for key, card in self._seen.items() if key not in now]
        for card in missing:
            card.handle, card.why = None, failure_of(NOT_FOUND)
        cards.whole.extend(missing)
        self._seen = {card.key: card for card in cards.whole if card.name}

    def _outdated(self, session: _Session, *, processes: bool) -> bool:
        """Return whether devices came, went or woke, so that new handles are needed."""
        woke = any(
            card.handle is None and card.why is None and not sleeps(self._system, card.status)
            for card in session.cards.whole
        )
        return woke or (processes and session.cards.changed())

    def _swept(self, session: _Session, gauge: Gauge, *, processes: bool) -> Sample:
        if processes:
            session.cards.look()
        self._lost, self._lines = False, []
        devices = tuple(self._device(session, card, gauge, processes=processes) for card in session.cards)
        if not self._lost:
            self._wait.worked()
        return Sample(devices, troubles=tuple(self._lines))

    def _device(self, session: _Session, card: Card, gauge: Gauge, *, processes: bool) -> DeviceSnapshot:
        asked = session.part if card.parent else session.whole
        if card.why is not None:
            return self._missing(card, card.why.absent, asked)
        if card.handle is None or sleeps(self._system, card.status):
            return sleeping_device(card, gauge, asked)
        found = answered(self._binding, session.part if card.parent else session.quick, card.handle, gauge)
        last = next(reversed(found.values()))
        if isinstance(last, Absent) and last.reason is Reason.LOST_DEVICE:
            return self._missing(card, last, asked)
        if card.status is not None:
            found[Quantity.POWER_STATE] = Gauge(KERNEL, gauge.at)(Quantity.POWER_STATE, "active")
        if not card.parent and (processes or not card.slow):
            card.slow = answered(self._binding, session.slow, card.handle, gauge)
        if not processes:
            return shown(card, found, NOT_TOLD)
        held = self._processes(session, card, gauge)
        return shown(card, found, held, () if self._sees_all or isinstance(held, Absent) else (OWN_NOTE,))

    def _missing(self, card: Card, why: Absent, asked: tuple[Question, ...]) -> DeviceSnapshot:
        """Return a device that cannot be asked; one that is lost is a reason to start anew."""
        self._lost = self._lost or why.reason is Reason.LOST_DEVICE
        self._lines.append(f"{card.name or 'an NVIDIA device'} ({card.key}): {why.detail}")
        return lost_device(card, why, asked)

    def _processes(self, session: _Session, card: Card, gauge: Gauge) -> tuple[ProcessSnapshot, ...] | Absent:
        if card.sliced and any(part.parent == card.key for part in session.cards.slices):
            return gauge.absent(Reason.UNSUPPORTED, OF_SLICES)
        told = session.lists.read(card.handle, gauge)
        if told == () and not self._sees_all:
            return gauge.absent(Reason.NO_PERMISSION, OWN_ONLY)
        return told

    def _nothing(self, why: Failure) -> Sample:
        """Return that the source tells nothing; devices that were seen before are shown without values."""
        devices = tuple(_silent(card, why.absent) for card in self._seen.values())
        more = (why.remedy, START_ANEW if why.code == MISMATCH and devices else "")
        line = "; ".join((f"{SOURCE}: {why.says}", *filter(None, more)))
        return Sample(devices, troubles=(line,), failure=why.absent)

    def _stop(self) -> None:
        self._session = None
        self._binding.stop()


def _silent(card: Card, why: Absent) -> DeviceSnapshot:
    """Return a device with no value at all; the reason stands for all that the source gives."""
    readings: dict[Quantity, Reading] = dict.fromkeys(sorted(COVERAGE.gives, key=DEVICE.index), why)
    return DeviceSnapshot(
        card.key, card.name, "NVIDIA", index=card.index, uuid=card.uuid, readings=readings, processes=why
    )
