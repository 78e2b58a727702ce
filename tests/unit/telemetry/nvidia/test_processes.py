"""Which processes hold memory of NVIDIA's devices."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.nvidia.nvml import NvmlSampler, sampler
from hwledger.telemetry.nvidia.processes import LAYOUTS, MOST_PID, NOT_AVAILABLE, _rows
from hwledger.telemetry.reading import Absent, Reason, Value
from hwledger.telemetry.snapshot import ProcessSnapshot
from hwledger.telemetry.system import System
from support.nvidia import MIB, Driver, Kernel, card

pytestmark = pytest.mark.requirement("FR-TEL-NVML")


def held(source: NvmlSampler) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return the processes of the first device."""
    return source.sample(processes=True).devices[0].processes


def rows_of(source: NvmlSampler) -> list[tuple[int | None, str, str, object]]:
    """Return number, name, kind and bytes of each process."""
    processes = held(source)
    assert isinstance(processes, tuple)
    return [
        (p.pid, p.name, p.kind, p.memory.value if isinstance(p.memory, Value) else p.memory.reason)
        for p in processes
    ]


def test_a_process_in_two_lists_is_one(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a process that computes and draws is told once, with its memory once."""
    driver.tells(card(processes=(
        f"compute 5 {700 * MIB} blender", f"graphics 5 {700 * MIB} blender", f"graphics 6 {40 * MIB} Xorg",
    )))  # fmt: skip
    assert rows_of(nvml) == [
        (5, "blender", "compute, graphics", 700 * MIB), (6, "Xorg", "graphics", 40 * MIB),
    ]  # fmt: skip


def test_clients_of_the_multi_process_service_are_told(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that the third list is read where the server of the service runs, and only there."""
    driver.tells(card(processes=("compute 5 1024 python", "mps 8 2048 python")))
    assert [row[0] for row in rows_of(nvml)] == [5]
    driver.tells(card(processes=("compute 4 1024 nvidia-cuda-mps-server", "mps 8 2048 python")))
    assert rows_of(nvml) == [(4, "nvidia-cuda-mps-server", "compute", 1024), (8, "python", "compute", 2048)]


def test_many_processes_fit(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a list that outgrows its room is read whole, and costs one call afterwards."""
    driver.tells(card(processes=tuple(f"compute {pid} {pid * MIB} p{pid}" for pid in range(1, 121))))
    assert [row[0] for row in rows_of(nvml)] == list(range(1, 121))
    driver.forget()
    assert len(rows_of(nvml)) == 120
    assert driver.calls("DeviceGetComputeRunningProcesses_v3") == 1


def test_memory_that_is_not_told_has_a_reason(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that the driver's number for "not available" becomes no number."""
    driver.tells(card(processes=("compute 5 - python",)))
    assert rows_of(nvml) == [(5, "python", "compute", Reason.UNSUPPORTED)]


def test_under_windows_it_is_windows_that_hides_it(driver: Driver, machine: System, kernel: Kernel) -> None:
    """Proves the detail under WSL."""
    kernel.write(machine.procfs / "version", "Linux version 6.6-Microsoft")
    driver.tells(card(processes=("compute 5 - python",)))
    processes = held(sampler(machine))
    assert isinstance(processes, tuple)
    assert isinstance(processes[0].memory, Absent)
    assert "Windows" in processes[0].memory.detail


def test_a_container_does_not_take_its_view_for_all(driver: Driver, machine: System, kernel: Kernel) -> None:
    """Proves that an empty list in a container is no permission, and one with entries has a note."""
    kernel.write(machine.procfs / "2" / "comm", "bash")
    driver.tells(card(), card(1, processes=(f"compute 5 {MIB} python",)))
    empty, partly = sampler(machine).sample(processes=True).devices
    assert isinstance(empty.processes, Absent)
    assert empty.processes.reason is Reason.NO_PERMISSION
    assert isinstance(partly.processes, tuple)
    assert any("container" in note for note in partly.notes)


def test_an_empty_list_is_a_list(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that where all processes can be seen, none is none."""
    driver.tells(card())
    assert held(nvml) == ()


@pytest.mark.parametrize(("code", "reason"), [(4, Reason.NO_PERMISSION), (3, Reason.UNSUPPORTED)])
def test_a_list_that_is_refused_says_why(
    code: int, reason: Reason, nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves the reason of a list that is not told, and that the values are."""
    driver.tells(card(rules=(f"fail DeviceGetComputeRunningProcesses_v3 {code}",)))
    (device,) = nvml.sample(processes=True).devices
    assert isinstance(device.processes, Absent)
    assert device.processes.reason is reason
    assert isinstance(device["power"], Value)


def test_a_device_that_draws_nothing_tells_what_computes(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a device without graphics still tells its other list."""
    driver.tells(card(processes=("compute 5 1024 python",), rules=(
        "fail DeviceGetGraphicsRunningProcesses_v3 3",
    )))  # fmt: skip
    assert [row[0] for row in rows_of(nvml)] == [5]


def test_a_process_without_a_name_is_told(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a process that ended meanwhile, or is not this user's, keeps number and memory."""
    driver.tells(card(processes=("compute 5 1024",)))
    assert rows_of(nvml) == [(5, "", "compute", 1024)]


@pytest.mark.parametrize("many", [1, 2, 3, 7, 64])
def test_the_layout_that_came_and_went_is_understood(
    many: int, drivers: Callable[[str], Driver], machine: System
) -> None:
    """Proves that rows of 32 bytes under the name of version 3 (535.43 to 535.86) are read right."""
    driver = drivers("wide")
    driver.tells(card(processes=tuple(f"compute {1000 + n} {(300 + n) * MIB} x" for n in range(many))))
    assert [(row[0], row[3]) for row in rows_of(sampler(machine))] == [
        (1000 + n, (300 + n) * MIB) for n in range(many)
    ]


pids = st.integers(1, MOST_PID)
memories = st.one_of(st.just(NOT_AVAILABLE), st.integers(1, 1 << 40).map(lambda pages: pages << 12))


@given(rows=st.lists(st.tuples(pids, memories), min_size=1, max_size=20, unique_by=lambda row: row[0]))
def test_rows_of_the_declared_layout_are_read(rows: list[tuple[int, int]]) -> None:
    """Proves that the common layout is never mistaken for another, whatever the numbers."""
    raw = b"".join(struct.pack("=I4xQII", pid, memory, 0xFFFFFFFF, 0xFFFFFFFF) for pid, memory in rows)
    told = _rows(raw.ljust(32 * 64, b"\xff"), len(rows), 24)
    assert told == [(pid, None if memory == NOT_AVAILABLE else memory) for pid, memory in rows]


@given(raw=st.binary(max_size=200), count=st.integers(0, 1 << 32), size=st.sampled_from(sorted(LAYOUTS)))
def test_any_bytes_are_rows_or_a_sentence(raw: bytes, count: int, size: int) -> None:
    """Proves that whatever a driver writes gives plausible rows or one sentence, and nothing is made up."""
    try:
        rows = _rows(raw.ljust(32 * 8, b"\xff"), count, size)
    except ValueError as error:
        assert "layout" in str(error)  # noqa: PT017 - either way is right
        return
    assert len(rows) == count
    assert all(0 < pid <= MOST_PID and struct.pack("=I", pid) in raw + b"\xff" * 8 for pid, _ in rows)
