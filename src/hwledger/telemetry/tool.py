"""Vendors' tools that are spawned: rarely, with a time limit, and never while a card of theirs sleeps."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.drm.cards import cards
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, Sample
from hwledger.telemetry.system import System

LEAST_SECONDS: Final = 15.0
_NO_REMEDY: Final[Mapping[Reason, str]] = MappingProxyType({})


def sleeping(system: System, drivers: frozenset[str], source: str) -> Absent | None:
    """Return why a tool is not asked: it opens every card of its drivers, and one that sleeps would wake."""
    found = [card.key for card in cards(system) if card.driver in drivers and card.asleep]
    if not found:
        return None
    return Absent(
        Reason.UNSUPPORTED, f"not asked, as it would wake what is suspended: {', '.join(found)}", source
    )


class Tool:
    """A tool that is spawned, at most every 15 s, and its newest sample; ``_ask`` is what differs.

    Attributes:
        drivers: of the cards that it opens.
        remedies: what to do, by why it does not work.
    """

    name = ""
    vendor = ""
    coverage = Coverage(gives=frozenset())
    pace = Pace(least_seconds=LEAST_SECONDS, processes_seconds=LEAST_SECONDS)
    yields_to: frozenset[str] = frozenset()
    drivers: frozenset[str] = frozenset()
    remedies: Mapping[Reason, str] = _NO_REMEDY

    def __init__(self, system: System) -> None:
        self._system = system
        self._asked: float | None = None
        self._newest = Sample()

    def check(self) -> Check:
        """Return whether the tool is there and tells of a device."""
        path = self._program()
        if path is None:
            return self._lacking(
                Absent(Reason.ABSENT_TOOL, f"{self.name} is not installed or not in PATH", self.name)
            )
        waits = sleeping(self._system, self.drivers, self.name)
        if waits is not None:
            return Check(self.name, works=True, found=waits.detail)
        sample = self.sample(processes=True)  # kept for the first that asks
        if sample.failure is not None:
            return self._lacking(sample.failure)
        count = len(sample.devices)
        return Check(self.name, works=True, found=f"{path}, {count} device{'s' * (count != 1)}")

    def _lacking(self, why: Absent) -> Check:
        remedy = self.remedies.get(why.reason, "")
        return Check(self.name, works=False, found=why.detail, remedy=remedy, reason=why)

    def _program(self) -> str | None:
        """Return where the tool is."""
        return shutil.which(self.name, path=self._system.environ.get("PATH"))

    def sample(self, *, processes: bool) -> Sample:
        """Return what the tool says; within 15 s what it said."""
        waits = sleeping(self._system, self.drivers, self.name)
        if waits is not None:
            return Sample(troubles=(f"{self.name}: {waits.detail}",), failure=waits)
        now = self._system.clock()
        if self._asked is None or now - self._asked >= LEAST_SECONDS:
            self._asked = now
            self._newest = self._ask(processes=processes)
        return self._newest

    def _ask(self, *, processes: bool) -> Sample:
        raise NotImplementedError

    def _said(self, arguments: Sequence[str], holds: Callable[[str], bool]) -> str | Absent:
        """Return what the tool prints, or why that is of no use."""
        program = self._program() or self.name
        ran = self._system.run([program, *arguments])
        if isinstance(ran, Absent):
            return Absent(ran.reason, ran.detail, self.name)
        if holds(ran.out):
            return ran.out
        printed = (ran.err or ran.out).strip().splitlines()
        last = printed[-1][:200] if printed else "nothing"
        otherwise = Absent(
            Reason.UNPARSED, f"not what is expected, with exit status {ran.code}: {last}", self.name
        )
        return self._complaint(f"{ran.out[:10_000]}\n{ran.err[:10_000]}") or otherwise

    def _complaint(self, text: str) -> Absent | None:
        """Return the reason that the tool printed; ``None``: none that is known."""
        del text
        return None

    def _failed(self, why: Absent) -> Sample:
        return Sample(troubles=(f"{self.name}: {why.detail}",), failure=why)

    def close(self) -> None:
        """Nothing is held."""
