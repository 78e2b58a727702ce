"""The stand-in of NVIDIA's driver, and a machine around it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.system import System
from support.nvidia import Driver, installed, libraries

__all__ = ["libraries"]


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Kernel:
    """The files of a machine: all of its processes are seen, nothing sleeps, no Windows around it."""

    def __init__(self, folder: Path) -> None:
        self.procfs, self.sysfs = folder / "proc", folder / "sys"
        self.write(self.procfs / "2" / "comm", "kthreadd")
        self.write(self.procfs / "version", "Linux version 6.8.0")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")

    def drives(self, address: str, status: str, control: str = "auto") -> None:
        """Let the kernel's driver hold a device that may sleep."""
        (self.procfs / "driver" / "nvidia" / "gpus" / address).mkdir(parents=True, exist_ok=True)
        power = self.sysfs / "bus" / "pci" / "devices" / address / "power"
        self.write(power / "control", control)
        self.write(power / "runtime_status", status)


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
