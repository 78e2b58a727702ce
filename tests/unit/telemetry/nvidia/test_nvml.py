"""NVIDIA's devices through nvidia-ml-py, on the real ctypes path, against the stand-in of the driver."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hwledger.telemetry.coverage import Setting
from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.nvidia.nvml import NvmlSampler, sampler
from hwledger.telemetry.quantity import DEVICE, Quantity
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import DeviceSnapshot
from hwledger.telemetry.system import System
from support.nvidia import MIB, WORKING, Driver, Kernel, card, gb10, mig_card

pytestmark = pytest.mark.requirement("FR-TEL-NVML")


def device_of(source: Sampler, *, processes: bool = True) -> DeviceSnapshot:
    """Return the first device."""
    return source.sample(processes=processes).devices[0]


def value(reading: Reading) -> object:
    """Return the value of a reading that must have one."""
    assert isinstance(reading, Value), reading
    return reading.value


def why(reading: object) -> Reason:
    """Return the reason of a reading that must have none."""
    assert isinstance(reading, Absent), reading
    return reading.reason


def test_every_value_comes_in_base_units(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves units, identity and the source of everything that one device tells."""
    driver.tells(card(name="NVIDIA GeForce RTX 4090", processes=(f"compute 77 {512 * MIB} python",)))
    device = device_of(nvml)
    assert (device.key, device.name, device.vendor, device.kind, device.index, device.unified) == (
        "0000:01:00.0", "NVIDIA GeForce RTX 4090", "NVIDIA", "gpu", 0, False,
    )  # fmt: skip
    told = {name: value(reading) for name, reading in device.readings.items()}
    words = {
        name: told.pop(Quantity(name)) for name in ("throttle", "performance_state", "driver", "runtime")
    }
    assert words == {
        "throttle": ("power limit (normal management)",), "performance_state": "P2",
        "driver": "580.126.09", "runtime": "CUDA 13.0",
    }  # fmt: skip
    assert told == pytest.approx({
        "memory_total": 24564 * MIB, "memory_used": 10000 * MIB, "memory_reserved": 400 * MIB,
        "memory_free": 14164 * MIB, "utilization": 0.37, "memory_activity": 0.12, "temperature": 54,
        "temperature_memory": 61, "fan": 0.31, "power": 71.523, "power_limit": 450, "energy": 123456.789,
        "clock": 1.98e9, "clock_max": 3.105e9, "clock_memory": 2.619e9, "clock_memory_max": 10.501e9,
        "pcie_generation": 4, "pcie_generation_max": 5, "pcie_width": 8, "pcie_width_max": 16,
        "errors_uncorrected": 3,
    })  # fmt: skip
    assert all(reading.source == "NVML" for reading in device.readings.values())
    assert isinstance(device.processes, tuple)
    (process,) = device.processes
    assert (process.pid, process.name, process.kind, value(process.memory)) == (
        77, "python", "compute", 512 * MIB,
    )  # fmt: skip
    assert device.notes == ()


def test_eight_devices_are_told_apart(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves keys, numbers and values of eight devices, each with its own."""
    driver.tells(*(card(n, values={**WORKING, "Utilization.gpu": 10 * n}) for n in range(8)))
    assert nvml.check().found == "8 devices (driver 580.126.09, CUDA 13.0)"
    devices = nvml.sample(processes=False).devices
    assert [device.key for device in devices] == [f"0000:{n + 1:02x}:00.0" for n in range(8)]
    assert [value(device["utilization"]) for device in devices] == pytest.approx([n / 10 for n in range(8)])


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ()),
        (0x1, ("idle",)),
        (0x44, ("power limit (normal management)", "too hot (hardware)")),
        (0x8, ("hardware slowdown",)),
        (1 << 40, ("unknown event 0x10000000000",)),
    ],
)
def test_what_holds_clocks_down_is_named(
    bits: int, words: tuple[str, ...], nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves that a power cap is no fault, nothing is nothing, and an unknown bit is not dropped."""
    driver.tells(card(values={"DeviceGetCurrentClocksEventReasons": bits}))
    assert value(device_of(nvml)["throttle"]) == words


def test_a_value_that_fails_takes_no_other_with_it(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves the reason of each failing value, and that the others are told."""
    rules = (
        "fail DeviceGetPowerUsage 4", "fail DeviceGetFanSpeed 3", "fail DeviceGetTemperatureV 999",
        "fail DeviceGetTemperature 999",
        "fail DeviceGetClockInfo 10", "fail DeviceGetPerformanceState 77", "fail DeviceGetTotalEccErrors 14",
    )  # fmt: skip
    driver.tells(card(rules=rules))
    device = device_of(nvml)
    reasons = {n: r.reason for n, r in device.readings.items() if isinstance(r, Absent)}
    assert reasons == {
        "power": Reason.NO_PERMISSION, "fan": Reason.UNSUPPORTED, "temperature": Reason.LOST_DEVICE,
        "clock": Reason.STALE, "clock_memory": Reason.STALE, "performance_state": Reason.UNPARSED,
        "errors_uncorrected": Reason.UNPARSED,
    }  # fmt: skip
    assert value(device["memory_used"]) == 10000 * MIB


@pytest.mark.parametrize(
    ("told", "quantity", "reason"),
    [
        (("DeviceGetPowerUsage", 0xFFFFFFFF), "power", Reason.UNSUPPORTED),
        (("DeviceGetTotalEnergyConsumption", (1 << 64) - 1), "energy", Reason.UNSUPPORTED),
        (("DeviceGetPerformanceState", 32), "performance_state", Reason.UNSUPPORTED),
        (("Field.82", 0), "temperature_memory", Reason.UNSUPPORTED),
        (("DeviceGetTemperature.0", 60000), "temperature", Reason.UNPARSED),
        (("Utilization.gpu", 4000), "utilization", Reason.UNPARSED),
    ],
)
def test_numbers_that_mean_no_value_are_none(
    told: tuple[str, int], quantity: str, reason: Reason, nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves that NVML's numbers for nothing, and those that cannot be, do not come out as values."""
    driver.tells(card(values=WORKING | dict([told])))
    assert why(device_of(nvml)[quantity]) is reason


def test_a_zero_is_a_zero(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that an idle device's zeros stay values."""
    driver.tells(card(values={**WORKING, "Utilization.gpu": 0, "DeviceGetFanSpeed": 0}))
    device = device_of(nvml)
    assert (value(device["utilization"]), value(device["fan"])) == (0, 0)


def test_an_old_driver_is_asked_in_its_own_versions(
    drivers: Callable[[str], Driver], machine: System
) -> None:
    """Proves that without the versioned calls everything else is told, and that used is marked as v1's."""
    driver = drivers("old")
    driver.tells(card(processes=(f"compute 5 {MIB} a", f"compute 6 {2 * MIB} b")), system=("driver 440.33",))
    source = sampler(machine)
    device = device_of(source)
    assert device.key == "0000:01:00.0"
    assert value(device["memory_used"]) == 10400 * MIB
    assert why(device["memory_reserved"]) is Reason.UNSUPPORTED
    assert any("includes what the driver reserves" in note for note in device.notes)
    assert (value(device["temperature"]), value(device["throttle"])) == (
        54, ("power limit (normal management)",),
    )  # fmt: skip
    assert isinstance(device.processes, tuple)
    assert [(p.pid, value(p.memory)) for p in device.processes] == [(5, MIB), (6, 2 * MIB)]
    driver.forget()
    device_of(source, processes=False)
    assert (driver.calls("DeviceGetMemoryInfo_v2"), driver.calls("DeviceGetMemoryInfo")) == (0, 1)
    source.close()


def test_a_device_that_knows_only_the_first_version_of_memory(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that the first version is asked where a device does not support the second."""
    driver.tells(card(rules=("fail DeviceGetMemoryInfo_v2 3",)))
    device = device_of(nvml)
    assert value(device["memory_total"]) == 24564 * MIB
    assert device.notes


def test_figures_that_do_not_add_up_are_noted(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that memory whose parts are not the whole is told as it is, with a note."""
    driver.tells(card(memory=(1000 * MIB, 100 * MIB, 500 * MIB, 300 * MIB)))
    (note,) = device_of(nvml).notes
    assert note == f"reserved, used and free are {100 * MIB:,} bytes less than the total"


def test_slices_follow_their_device(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves memory and processes of each slice, no utilisation, and no process told twice."""
    driver.tells(mig_card(), card(1))
    whole, one, other, last = nvml.sample(processes=True).devices
    assert [d.kind for d in (whole, one, other, last)] == ["gpu", "mig", "mig", "gpu"]
    assert (one.parent, one.key, one.index) == (whole.key, "MIG-00000000-0000", 0)
    assert value(other["memory_total"]) == 10 << 30
    assert why(one["utilization"]) is why(whole["utilization"]) is Reason.UNSUPPORTED
    assert value(whole["power"]) == pytest.approx(71.523)
    assert why(whole.processes) is Reason.UNSUPPORTED
    assert isinstance(one.processes, tuple)
    assert [(p.pid, value(p.memory)) for p in one.processes] == [(4000, 2 << 30)]


def test_slices_come_and_go(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that slices made or removed while the driver runs are seen with the next look."""
    driver.tells(mig_card())
    assert len(nvml.sample(processes=True).devices) == 3
    changed = mig_card()
    changed.slices = changed.slices[:1]
    driver.tells(changed)
    assert len(nvml.sample(processes=True).devices) == 2


def test_a_container_with_one_slice_sees_that(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that what a container may not ask of the whole device does not hide its slice."""
    part = mig_card()
    part.rules = ("fail DeviceGetMemoryInfo_v2 4", "fail DeviceGetPowerUsage 4")
    driver.tells(part)
    whole, one, _ = nvml.sample(processes=True).devices
    assert why(whole["memory_total"]) is Reason.NO_PERMISSION
    assert whole.unified is None
    assert value(one["memory_used"]) == 2 << 30


def test_a_part_without_memory_of_its_own_says_so(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that no total is made up where the memory is the host's, and that processes keep theirs."""
    driver.tells(gb10())
    driver.tells(card(name="NVIDIA Something new", memory=None, processes=(f"compute 9 {MIB} vllm",)))
    device = device_of(nvml)
    assert device.unified is True
    for name in ("memory_total", "memory_used", "memory_reserved", "memory_free"):
        assert isinstance(device[name], Absent)
        assert "the host's" in device[name].detail
    assert isinstance(device.processes, tuple)
    assert value(device.processes[0].memory) == MIB


@pytest.mark.parametrize("name", ["NVIDIA GB10", "NVIDIA-GB10", "NVIDIA N1X", "Orin (nvgpu)"])
def test_a_total_of_shared_memory_is_not_taken_at_its_word(
    name: str, nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves the note where a driver states a total for a part that has no memory of its own."""
    driver.tells(card(name=name, memory=(8128 * MIB, 0, 8128 * MIB, 0)))
    device = device_of(nvml)
    assert device.unified is True
    assert value(device["memory_total"]) == 8128 * MIB
    assert any("not what can be allocated" in note for note in device.notes)


def test_a_total_of_nothing_is_no_total(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a driver that states 0 bytes in all is not believed."""
    driver.tells(card(name="NVIDIA GB10", memory=(0, 0, 0, 0)))
    assert why(device_of(nvml)["memory_total"]) is Reason.UNSUPPORTED


def test_a_virtual_gpu_is_named(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a share of a device in a virtual machine is noted, and not taken for shared memory."""
    driver.tells(card(name="NVIDIA L40-16Q", memory=None, values={"DeviceGetVirtualizationMode": 2}))
    device = device_of(nvml)
    assert device.unified is None
    assert any("virtual GPU" in note for note in device.notes)


def settings(setting: Setting, driver: Driver, kernel: Kernel) -> None:
    """Let the machine be as a setting is."""
    write, procfs = kernel.write, kernel.procfs
    held = (f"compute 7 {MIB} python",)
    part = card(processes=held)
    if setting is Setting.MIG:
        part = mig_card()
    elif setting is Setting.UNIFIED:
        part = gb10()
    elif setting is Setting.CONTAINER:
        write(procfs / "2" / "comm", "sh")
        part = card()
    elif setting is Setting.WSL:
        write(procfs / "version", "Linux version 6.6.87-microsoft-standard-WSL2")
        part = card(processes=("compute 7 - python",))
    if setting in {Setting.BARE, Setting.UNIFIED, Setting.CONTAINER}:
        kernel.drives("000f:01:00.0" if part.name == "NVIDIA GB10" else "0000:01:00.0", "active")
    driver.tells(part)


@pytest.mark.parametrize("setting", list(Setting))
def test_the_declaration_holds(
    setting: Setting,
    nvml: NvmlSampler,
    driver: Driver,
    kernel: Kernel,
) -> None:
    """Proves cell by cell that what is declared for a setting is told there, or has that reason."""
    settings(setting, driver, kernel)
    device = merged_devices([nvml.sample(processes=True)])[-1]
    for quantity in DEVICE:
        reading = device[quantity]
        told = None if isinstance(reading, Value) else reading.reason
        assert told == nvml.coverage.cell(quantity, setting), quantity
    held = device.processes
    if isinstance(held, tuple) and held and isinstance(held[0].memory, Absent):
        held = held[0].memory
    assert (held.reason if isinstance(held, Absent) else None) == nvml.coverage.processes.get(setting)


def test_the_declaration_names_what_is_derived(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that usable memory, which the table promises, is derived from what NVML tells."""
    driver.tells(card())
    (device,) = merged_devices([nvml.sample(processes=False)])
    usable = device["memory_usable"]
    assert isinstance(usable, Value)
    assert (usable.value, usable.basis) == ((24564 - 400) * MIB, Basis.DERIVED)


def test_the_port_is_registered() -> None:
    """Proves that the entry point gives a source that satisfies the port."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - only this test looks

    (entry,) = entry_points(group="hwledger.samplers", name="nvml")
    assert isinstance(entry.load()(System()), Sampler)


def test_nothing_is_loaded_before_it_is_asked(tmp_path: Path) -> None:
    """Proves that a source that was only made holds nothing and may be closed."""
    source = sampler(System(sysfs=tmp_path, procfs=tmp_path))
    source.close()
    assert Quantity.MEMORY_USED in source.coverage.gives
