"""The source ``engines``: finds the inference engines of this machine and watches them."""

import time
from typing import Final

from hwledger.library.net.address import is_local
from hwledger.library.serving.replies import KEY_VARIABLE
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.engines.formats import TITLES
from hwledger.telemetry.engines.live.places import VARIABLE, Place, Places, Sight
from hwledger.telemetry.engines.live.processes import processes as processes_of
from hwledger.telemetry.engines.live.watch import Watched
from hwledger.telemetry.engines.values import told_live
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, EngineSnapshot, Sample
from hwledger.telemetry.system import System

LIMIT_S: Final = 1.5
"""An engine that does not answer all its questions within this is late."""
_GRACE_S: Final = 0.5


class EnginesSampler:
    """Finds engines by their processes, by well-known ports of this machine and by ``HWLEDGER_ENGINES``.

    All of them are asked at once, with ``GET`` alone, each within a limit of time. Processes are looked for
    when the caller wants processes, which the pace has at ten seconds.

    Args:
        system: whose clock and environment count.
        sight: what is seen of the machine's processes.
        limit_s: seconds that one engine may take.
    """

    name = "engines"
    vendor = "engines"
    pace = Pace(least_seconds=2.0, processes_seconds=10.0)
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System, sight: Sight | None = None, limit_s: float = LIMIT_S) -> None:
        self.coverage = Coverage(gives=told_live())
        self._system = system
        self._places = Places(system.environ, sight or Sight(lambda: processes_of(system.procfs)))
        self._sought: set[str] = set()
        self._limit_s = limit_s
        self._watched: dict[str, Watched] = {}
        self._troubles: list[str] = []

    def check(self) -> Check:
        """Return which engines answer here; it works where there are none, for one may start later.

        No figures are asked for: llama.cpp's means begin anew with each question.
        """
        self._find()
        watched = self._asked(figures=False)
        found = [f"{TITLES[each.engine]} at {each.place.address}" for each in watched if each.engine]
        remedy = "; ".join((*self._troubles, *(each.trouble for each in watched if each.trouble)))
        if not found:
            said = "no inference engine answers on this machine"
            return Check(
                self.name, True, said, remedy or f"name addresses of others in {VARIABLE}, with commas"
            )
        return Check(self.name, True, f"found {', '.join(found)}", remedy)

    def sample(self, *, processes: bool) -> Sample:
        """Return what every engine says now; one that is late says what it said last, stale."""
        if processes or not self._watched:
            self._find()
        watched = self._asked()
        told = (each.latest(self._system.clock()) for each in watched)
        engines = [engine for engine in told if engine is not None]
        self._seek_owners(engines)
        troubles = (*self._troubles, *(each.trouble for each in watched if each.trouble))
        return Sample(engines=tuple(sorted(engines, key=_order)), troubles=tuple(dict.fromkeys(troubles)))

    def close(self) -> None:
        """Let go of what is known; looks that are under way end by themselves."""
        self._watched = {}

    def _asked(self, *, figures: bool = True) -> list[Watched]:
        """Ask every place, all at once, and return them when they have answered or the time is up."""
        watched = list(self._watched.values())
        for each in watched:
            each.begin(self._system.clock(), figures=figures)
        end = time.monotonic() + self._limit_s + _GRACE_S
        for each in watched:
            each.wait(max(0.0, end - time.monotonic()))
        return watched

    def _find(self) -> None:
        found, self._troubles = self._places.find()
        self._watched = {place.address: self._at(place) for place in found}

    def _seek_owners(self, engines: list[EngineSnapshot]) -> None:
        """Have all processes looked at once for each engine of this machine whose process is not known."""
        hidden = {each.address for each in engines if each.pid is None and is_local(each.address)}
        if hidden - self._sought:
            self._places.look_at_everybody()
        self._sought |= hidden

    def _at(self, place: Place) -> Watched:
        """Return what watches a place, with what it knows where the same process is still there."""
        known = self._watched.get(place.address)
        if known is None or (None not in {known.place.pid, place.pid} and known.place.pid != place.pid):
            return Watched(place, self._limit_s, self._system.environ.get(KEY_VARIABLE, "").strip())
        known.place = place
        return known


def _order(engine: EngineSnapshot) -> tuple[str, str]:
    return engine.address, engine.engine


def sampler(system: System) -> EnginesSampler:
    """Return the source of a machine."""
    return EnginesSampler(system)
