"""The port behind which every source of telemetry stands."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.snapshot import Check, Sample


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a source may be asked so that it does not disturb the work.

    Attributes:
        least_seconds: between two samples at least; 0 for a source that costs microseconds, 15 for a tool
            that is spawned.
        processes_seconds: between two looks at the list of processes at least.
    """

    least_seconds: float = 0.0
    processes_seconds: float = 10.0


@runtime_checkable
class Sampler(Protocol):
    """A source of telemetry.

    A sampler is asked from one thread of its own and may block there; it is not shared between threads.

    Attributes:
        name: ``nvml``, ``amd-smi``, ``macmon``.
        vendor: whose devices it knows; ``engines`` or ``host`` for the others.
        coverage: what it can tell, and what it cannot, where.
        pace: how often it may be asked.
        yields_to: samplers that know the same and more: this one is not asked while one of them works.
    """

    name: str
    vendor: str
    coverage: Coverage
    pace: Pace
    yields_to: frozenset[str]

    def check(self) -> Check:
        """Return whether the source works here and, where not, why and what to do; never raises."""
        ...

    def sample(self, *, processes: bool) -> Sample:
        """Return what is seen now.

        A device or value that cannot be read becomes an ``Absent`` with its reason, never a zero; a source
        that does not work at all returns an empty sample with one trouble. Never raises for what a driver,
        tool or server says.

        Args:
            processes: look at the list of processes too, which is the costly part.
        """
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...
