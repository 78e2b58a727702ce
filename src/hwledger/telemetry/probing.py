"""One look at this machine."""

from hwledger.telemetry.collector import PATIENCE_S, Collector
from hwledger.telemetry.samplers import installed_samplers
from hwledger.telemetry.snapshot import Snapshot
from hwledger.telemetry.system import System


def probe(
    *, only: frozenset[str] = frozenset(), limit_s: float = PATIENCE_S, system: System | None = None
) -> Snapshot:
    """Return what this machine is and does now: host, devices with their processes, engines.

    Every source is asked once, side by side; one that does not answer in time is said in ``checks``, and
    what it would have told is missing.

    Args:
        only: names of sources (``nvml``, ``engines`` …); all where empty.
        limit_s: seconds to wait for the slowest source.
        system: the machine to look at; this one where ``None``.

    Raises:
        UnknownOptionError: a source that is named is not installed.
    """
    here = system or System()
    with Collector(installed_samplers(here, only), system=here) as collector:
        collector.wait(limit_s)
        return collector.snapshot()
