"""The memory that control groups leave this process: the least limit on the way from its own group up.

Containers see their own group as the uppermost; jobs of Slurm and services of systemd do not, so the path
in ``/proc/self/cgroup`` counts (cgroups(7); cgroup-v2.rst and cgroup-v1/memory.rst of Linux).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.system import System

_SECOND: Final = ("fs/cgroup", "memory.max")
_FIRST: Final = ("fs/cgroup/memory", "memory.limit_in_bytes")
_MOST_DIGITS: Final = 20  # "no limit" of version 1 is 2**63 rounded down to a page
_NO_LIMIT: Final = 1 << 60


def group_limit(system: System) -> Reading:
    """Return the bytes that this process's control groups allow it, or that nothing limits it."""
    limits: dict[int, Path] = {}
    unclear: list[str] = []
    for path in _files(system):
        text = system.read(path)
        if isinstance(text, Absent) or text == "max":
            continue
        if not text.isdecimal() or len(text) > _MOST_DIGITS:
            unclear.append(f"{path.name} holds {text[:40]!r}")
        elif int(text) < _NO_LIMIT:
            limits.setdefault(int(text), path)
    if limits:
        least = min(limits)
        source = str(Path("/sys") / limits[least].relative_to(system.sysfs))
        return checked(Gauge(source, system.clock()), Quantity.HOST_MEMORY_LIMIT, least)
    if unclear:
        return Absent(Reason.UNPARSED, unclear[0], "cgroup")
    return Absent(Reason.UNSUPPORTED, "no control group limits this process", "cgroup")


def _files(system: System) -> Iterator[Path]:
    """Yield the files of this process's groups, of both versions, its own first and the uppermost last."""
    told = system.read(system.procfs / "self" / "cgroup")
    lines = [] if isinstance(told, Absent) else [line.partition(":")[2] for line in told.splitlines()]
    own = {kinds: path for kinds, _, path in (line.partition(":") for line in lines)}
    first = next((path for kinds, path in own.items() if "memory" in kinds.split(",")), "/")
    for (root, name), path in ((_SECOND, own.get("", "/")), (_FIRST, first)):
        for group in _upwards(path):
            yield system.sysfs / root / group / name


def _upwards(path: str) -> Iterator[str]:
    """Yield a group and those that it is in, relative to the uppermost; of one outside of it that alone."""
    group = PurePosixPath(path.lstrip("/"))
    if ".." not in group.parts:
        yield from (str(each) for each in (group, *group.parents) if str(each) != ".")
    yield "."
