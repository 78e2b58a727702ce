"""What watching costs and how soon it answers, measured: ``PYTHONPATH=tests python benchmarks/calm.py``.

The driver is the stand-in of the tests: its calls cost next to nothing, so what is measured is hwledger and
nvidia-ml-py, and a real driver adds its own microseconds a call. Times are CPU time, the least of several,
except those of the hung driver, which are by the clock on the wall.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from hwledger.telemetry.collector import Collector
from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.system import System
from support.nvidia import MIB, Driver, card, compiled, installed

DEVICES = 8
SWEEPS = 100_000
HELD = (f"compute 4000 {9000 * MIB} python", f"graphics 1200 {40 * MIB} Xorg")


def least(rounds: int, measured: Callable[[], float]) -> float:
    """Return the least of several measurements."""
    return min(measured() for _ in range(rounds))


def a_sweep(source: NvmlSampler) -> float:
    """Return the milliseconds of CPU time of one sweep without processes."""
    started = time.process_time()
    for _ in range(200):
        source.sample(processes=False)
    return (time.process_time() - started) / 200 * 1e3


def at_one_hertz(source: NvmlSampler, seconds: int = 20) -> float:
    """Return the share of a core that the collector takes at 1 Hz, with a snapshot each second."""
    with Collector([source], interval_s=1) as collector:
        collector.wait()
        before, started = time.process_time(), time.monotonic()
        for _ in range(seconds):
            time.sleep(1)
            collector.snapshot()
        return (time.process_time() - before) / (time.monotonic() - started)


def grown(source: NvmlSampler) -> int:
    """Return the bytes by which the process grows over 100,000 sweeps."""
    for number in range(2000):
        source.sample(processes=number % 10 == 0)
    before = psutil.Process().memory_info().rss
    for number in range(SWEEPS):
        source.sample(processes=number % 10 == 0)
    return psutil.Process().memory_info().rss - before


def lines_of_a_watch(library: Path, seconds: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield each line of ``probe --watch --json`` in a process of its own, with the moment that it came."""
    environ = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}
    command = [sys.executable, "-m", "hwledger", *["probe", "--watch", "1", "--json", "--source", "nvml"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True) as child:
        end = time.monotonic() + seconds
        assert child.stdout is not None
        for line in child.stdout:
            yield time.monotonic(), json.loads(line)
            if time.monotonic() > end:
                child.terminate()
                return


def hung(library: Path, driver: Driver) -> list[str]:
    """Return what a watch does while a call to the driver never returns."""
    driver.tells(*(card(n) for n in range(7)), card(7, rules=("hang DeviceGetPowerUsage 3",)))
    seen = [
        (at, any(device["readings"]["memory_used"]["value"] is None for device in told["devices"]))
        for at, told in lines_of_a_watch(library, 10)
    ]
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(seen)]
    stale = next((number for number, (_, gone) in enumerate(seen) if gone), -1)
    driver.tells(*(card(n) for n in range(7)), card(7, rules=("hang DeviceGetPowerUsage 3",)))
    with Collector([NvmlSampler(System())], interval_s=0.05) as collector:
        time.sleep(1)
        took = []
        for _ in range(200):
            started = time.perf_counter()
            snapshot = collector.snapshot()
            took.append(time.perf_counter() - started)
    assert len(snapshot.devices) == DEVICES
    late = max(gaps) * 1e3 - 1000
    return [
        f"hung driver: longest of 200 snapshots {max(took) * 1e3:.2f} ms",
        f"hung driver: a line of probe --watch 1 came {late:.0f} ms late, stale from line {stale + 1}",
    ]


def main() -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        library = compiled(folder)["new"]
        driver = installed(library, folder, patch)
        driver.tells(*(card(number, processes=HELD) for number in range(DEVICES)))
        source = NvmlSampler(System())
        source.sample(processes=True)
        say(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}")
        say(f"a sweep of {DEVICES} devices without processes: {least(20, lambda: a_sweep(source)):.3f} ms")
        say(f"{DEVICES} devices at 1 Hz: {least(3, lambda: at_one_hertz(source)):.3%} of a core")
        say(f"{SWEEPS:,} sweeps: {grown(source) / 1024:+,.0f} KiB")
        for line in hung(library, driver):
            say(line)


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
