"""The stand-in of NVIDIA's driver, and a machine around it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.system import System
from support.nvidia import Clock, Driver, Kernel, installed, libraries

__all__ = ["libraries"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.fixture
def machine(kernel: Kernel, clock: Clock) -> System:
    return System(sysfs=kernel.sysfs, procfs=kernel.procfs, platform="linux", clock=clock)


@pytest.fixture
def drivers(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Driver]:
    """Return what puts a variant of the stand-in in the place of the machine's driver."""
    return lambda name: installed(libraries[name], tmp_path, monkeypatch)


@pytest.fixture
def driver(drivers: Callable[[str], Driver]) -> Driver:
    return drivers("new")


@pytest.fixture
def nvml(driver: Driver, machine: System) -> Iterator[NvmlSampler]:
    """The source, on the new variant of the stand-in."""
    del driver
    source = NvmlSampler(machine)
    yield source
    source.close()
