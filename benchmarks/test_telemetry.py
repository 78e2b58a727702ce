"""What it costs to watch eight devices of NVIDIA's or AMD's, and how soon a snapshot is there.

``make benchmark`` runs it. NVIDIA's driver is the stand-in of the tests, whose calls cost next to nothing:
what is measured is hwledger and nvidia-ml-py. AMD's is a tree of files on disk: what is measured is hwledger
and the kernel's calls for a file. Real drivers add their own microseconds to each.
"""

import resource
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hwledger.telemetry.amd.amdgpu import AmdgpuSampler
from hwledger.telemetry.collector import Collector
from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.system import System
from support import kernel
from support.nvidia import MIB, Driver, card, compiled, installed

SECONDS = 3600
SWEEPS = 100_000
LOOK_EVERY = 10


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in of the driver, compiled."""
    return compiled(tmp_path_factory.mktemp("nvml"))["new"]


@pytest.fixture
def driver(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Eight devices with two processes each."""
    driver = installed(library, tmp_path, monkeypatch)
    held = (f"compute 4000 {9000 * MIB} python", f"graphics 1200 {40 * MIB} Xorg")
    driver.tells(*(card(number, processes=held) for number in range(8)))
    return driver


@pytest.fixture(params=["NVIDIA", "AMD"])
def source(request: pytest.FixtureRequest) -> Iterator[Sampler]:
    """A source of eight devices with two processes each, which has looked once."""
    source = request.getfixturevalue("nvidia" if request.param == "NVIDIA" else "amd")
    source.sample(processes=True)
    yield source
    source.close()


@pytest.fixture
def nvidia(driver: Driver) -> NvmlSampler:
    """NVIDIA's library."""
    del driver
    return NvmlSampler(System())


class Passing:
    """A clock on which each reading is a second later than the one before, as at 1 Hz."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        self.at += 1.0
        return self.at


@pytest.fixture
def amd(tmp_path: Path) -> AmdgpuSampler:
    """AMD's driver in the kernel; time passes, so that what is read rarely is read as often as at 1 Hz."""
    addresses = [f"0000:{number + 3:02x}:00.0" for number in range(8)]
    for number, address in enumerate(addresses):
        kernel.card(tmp_path, number, kernel.RADEON, address)
    rest = "drm-memory-vram: 4096 KiB\ndrm-engine-gfx: 99 ns\n"
    for pid in (4000, 4001):
        told = (
            kernel.CLIENT.format(driver="amdgpu", address=address, number=pid, rest=rest)
            for address in addresses
        )
        opened = {number: (f"/dev/dri/renderD{128 + number}", text) for number, text in enumerate(told)}
        kernel.process(tmp_path, pid, "python", opened)
    return AmdgpuSampler(replace(kernel.machine(tmp_path), clock=Passing()))


def cpu_seconds() -> float:
    """Return the seconds of CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(group="8 devices", timer=time.process_time)
@pytest.mark.parametrize("processes", [False, True], ids=["sweep", "sweep with processes"])
def test_a_sweep(benchmark: BenchmarkFixture, source: Sampler, *, processes: bool) -> None:
    """One sweep in CPU time; without processes it must take at most 1 ms."""
    sample = benchmark.pedantic(
        lambda: source.sample(processes=processes), rounds=50, iterations=100, warmup_rounds=2
    )
    assert len(sample.devices) == 8


@pytest.mark.benchmark(group="8 devices")
def test_an_hour_at_one_hertz(benchmark: BenchmarkFixture, source: Sampler) -> None:
    """CPU time of an hour of sweeps, processes each 10 s, without the waits: at most 0.2 % of a core."""

    def hour() -> float:
        before = cpu_seconds()
        for second in range(SECONDS):
            source.sample(processes=second % LOOK_EVERY == 0)
        return (cpu_seconds() - before) / SECONDS

    benchmark.extra_info["share_of_a_core"] = benchmark.pedantic(hour, rounds=3)


@pytest.mark.benchmark(group="8 devices")
def test_watching_for_real(benchmark: BenchmarkFixture, source: Sampler) -> None:
    """CPU time of the collector with its thread and its waits over 20 real seconds, as a share of a core."""

    def watch() -> float:
        with Collector([source], interval_s=1) as collector:
            collector.wait()
            before, started = cpu_seconds(), time.monotonic()
            time.sleep(20)
            return (cpu_seconds() - before) / (time.monotonic() - started)

    benchmark.extra_info["share_of_a_core"] = benchmark.pedantic(watch, rounds=1)


@pytest.mark.benchmark(group="8 devices")
def test_memory_stays_flat(benchmark: BenchmarkFixture, source: Sampler) -> None:
    """What 100,000 sweeps leave behind, in bytes of Python and of the process, and in open files."""

    def sweep(count: int) -> None:
        for number in range(count):
            source.sample(processes=number % LOOK_EVERY == 0)

    def grown() -> tuple[int, int]:
        sweep(1000)
        opened = psutil.Process().num_fds()
        resident = psutil.Process().memory_info().rss
        sweep(SWEEPS)
        grown_resident = psutil.Process().memory_info().rss - resident
        assert psutil.Process().num_fds() == opened
        tracemalloc.start()
        sweep(100)
        before = tracemalloc.get_traced_memory()[0]
        sweep(2000)
        grown_python = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return grown_resident, grown_python

    resident, python = benchmark.pedantic(grown, rounds=1)
    benchmark.extra_info.update(resident_bytes=resident, python_bytes_of_2000=python)
    assert resident < 2 << 20
    assert python < 64 << 10


@pytest.mark.benchmark(group="a driver that hangs")
def test_a_snapshot_of_a_driver_that_hangs(benchmark: BenchmarkFixture, driver: Driver) -> None:
    """Wall time of a snapshot while a call to the driver never returns; it must be there within 100 ms."""
    driver.tells(*(card(number) for number in range(7)), card(7, rules=("hang DeviceGetPowerUsage 3",)))
    with Collector([NvmlSampler(System())], interval_s=0.01) as collector:
        wait_until(lambda: driver.calls("DeviceGetPowerUsage") >= 4 * 8)
        wait_until(lambda: not collector.snapshot().checks[0].works)
        snapshot = benchmark(collector.snapshot)
    assert len(snapshot.devices) == 8


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for what is bound to come."""
    while not reached():
        threading.Event().wait(0.005)
