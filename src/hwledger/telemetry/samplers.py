"""The sources of telemetry that are installed, in the order in which they are believed."""

from typing import TYPE_CHECKING, Final

from hwledger.errors import UnknownOptionError
from hwledger.extensions import Extension, extensions
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINTS: Final = "hwledger.samplers"
BELIEVED: Final = (
    "nvml", "amdsmi", "amdgpu", "amd-smi", "rocm-smi", "macmon", "apple", "xpu-smi", "intel", "host",
    "engines",
)  # fmt: skip
"""Vendors' libraries first, their tools next, the kernel's files last; third parties' sources behind them.

amdgpu's files stand before AMD's tools, which read the same files, every 15 s and in whole MiB.
"""


def installed_samplers(
    system: System | None = None, only: frozenset[str] = frozenset()
) -> tuple[Sampler, ...]:
    """Return a new sampler of every source that is installed.

    Args:
        system: the machine that they look at; this one where ``None``.
        only: names of the sources that are wanted; all where empty.

    Raises:
        UnknownOptionError: a wanted source is not installed.
    """
    here = system or System()
    points = sorted(extensions(ENTRY_POINTS), key=_rank)
    unknown = only - {point.name for point in points}
    if unknown:
        raise UnknownOptionError("source", min(unknown), [point.name for point in points])
    return tuple(_made(point, here) for point in points if not only or point.name in only)


def source_names() -> frozenset[str]:
    """Return the names of the sources that are installed."""
    return frozenset(point.name for point in extensions(ENTRY_POINTS))


def _made(point: Extension, system: System) -> Sampler:
    make: Callable[[System], Sampler] = point.load()
    return make(system)


def _rank(point: Extension) -> tuple[int, str]:
    return (BELIEVED.index(point.name) if point.name in BELIEVED else len(BELIEVED), point.name)
