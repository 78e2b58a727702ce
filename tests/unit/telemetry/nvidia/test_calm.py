"""NVIDIA's driver is left in peace: few calls, none that wakes; one that hangs holds up nobody."""

import threading

import pytest

from hwledger.telemetry.collector import Collector
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason, Value
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, HostSnapshot, Sample, Snapshot
from hwledger.telemetry.system import System
from support.nvidia import Clock, Driver, Kernel, card, mig_card

pytestmark = pytest.mark.requirement("NFR-TEL-CALM")
ONCE = ("DeviceGetName", "DeviceGetUUID", "DeviceGetPciInfo", "DeviceGetMaxClockInfo",
        "SystemGetDriverVersion", "DeviceGetHandleByIndex", "DeviceGetMaxPcieLinkWidth",
        "SystemGetCudaDriverVersion", "InitWithFlags", "DeviceGetVirtualizationMode")  # fmt: skip
SELDOM = ("DeviceGetFanSpeed", "DeviceGetTotalEccErrors", "DeviceGetCurrPcieLinkWidth",
          "DeviceGetComputeRunningProcesses_v3", "DeviceGetGraphicsRunningProcesses_v3",
          "SystemGetProcessName", "DeviceGetCount")  # fmt: skip


def test_a_sweep_asks_only_what_changes(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves the calls of a sweep: what is fixed once, what is dear with the processes, eleven a device."""
    driver.tells(*(card(n, processes=("compute 5 1024 python",)) for n in range(8)))
    nvml.sample(processes=True)
    driver.forget()
    nvml.sample(processes=False)
    assert {name: driver.calls(name) for name in (*ONCE, *SELDOM)} == dict.fromkeys((*ONCE, *SELDOM), 0)
    assert driver.calls() == 8 * 11
    driver.forget()
    nvml.sample(processes=True)
    assert {name: driver.calls(name) for name in ONCE} == dict.fromkeys(ONCE, 0)
    assert all(driver.calls(name) for name in SELDOM)


def test_seldom_values_keep_their_age(nvml: NvmlSampler, driver: Driver, clock: Clock) -> None:
    """Proves that a value that was not asked for again states when it was read."""
    driver.tells(card())
    nvml.sample(processes=True)
    clock.now += 7
    (device,) = nvml.sample(processes=False).devices
    fan, power = device["fan"], device["power"]
    assert isinstance(fan, Value)
    assert isinstance(power, Value)
    assert (fan.at, power.at) == (100, 107)


def test_slices_are_asked_little(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a slice is asked for memory and utilisation alone: the rest is its device's."""
    driver.tells(mig_card())
    nvml.sample(processes=True)
    driver.forget()
    nvml.sample(processes=False)
    assert driver.calls("DeviceGetPowerUsage") == 1
    assert driver.calls("DeviceGetMemoryInfo_v2") == 3
    assert driver.calls("DeviceGetMigDeviceHandleByIndex") == 0


def test_a_device_that_sleeps_is_not_woken(nvml: NvmlSampler, driver: Driver, kernel: Kernel) -> None:
    """Proves that a suspended device is not even given a handle, and that it is asked once it is awake."""
    driver.tells(card(0), card(1))
    kernel.drives("0000:01:00.0", "suspended")
    kernel.drives("0000:02:00.0", "active")
    asleep, awake = nvml.sample(processes=True).devices
    assert driver.calls("DeviceGetHandleByIndex") == 1
    assert (asleep.key, told(asleep, "power_state")) == ("0000:01:00.0", "suspended")
    assert isinstance(asleep["memory_used"], Absent)
    assert "not woken" in asleep["memory_used"].detail
    assert told(awake, "power_state") == "active"
    kernel.drives("0000:01:00.0", "active")
    woken = nvml.sample(processes=False).devices[0]
    assert (woken.name, told(woken, "power_state")) == ("NVIDIA GeForce RTX 4090", "active")
    kernel.drives("0000:01:00.0", "suspended")
    driver.forget()
    slept = nvml.sample(processes=True).devices[0]
    assert driver.calls("DeviceGetPowerUsage") == 1
    assert (slept.name, told(slept, "power_state")) == ("NVIDIA GeForce RTX 4090", "suspended")
    assert told(slept, "driver") == "580.126.09"


def test_a_device_that_never_sleeps_is_not_looked_after(
    nvml: NvmlSampler, driver: Driver, kernel: Kernel
) -> None:
    """Proves that power management that is switched off by its user costs no file a sweep."""
    driver.tells(card(0))
    kernel.drives("0000:01:00.0", "suspended", control="on")
    (device,) = nvml.sample(processes=True).devices
    assert isinstance(device["power"], Value)


def test_when_it_is_not_clear_who_sleeps_nobody_is_asked(
    nvml: NvmlSampler, driver: Driver, kernel: Kernel
) -> None:
    """Proves that numbers that cannot be matched to addresses wake nobody."""
    driver.tells(card(0))
    kernel.drives("0000:01:00.0", "suspended")
    kernel.drives("0000:02:00.0", "active")
    devices = nvml.sample(processes=True).devices
    assert driver.calls("DeviceGetHandleByIndex") == 0
    assert [device.key for device in devices] == ["0000:01:00.0"]


def told(device: DeviceSnapshot, quantity: str) -> object:
    """Return a value that must be there."""
    reading = device[quantity]
    assert isinstance(reading, Value)
    return reading.value


class Host:
    """Another source, which answers always."""

    name, vendor, coverage, pace = "host", "host", Coverage(frozenset()), Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = threading.Semaphore(0)

    def check(self) -> Check:
        """See ``Sampler``."""
        return Check("host", works=True, found="it")

    def sample(self, *, processes: bool) -> Sample:
        """See ``Sampler``."""
        del processes
        self.asked.release()
        gauge = Gauge("host", self._clock())
        return Sample(host=HostSnapshot(readings={Quantity.LOAD: gauge(Quantity.LOAD, 1.5)}))

    def close(self) -> None:
        """See ``Sampler``."""


def test_a_driver_that_hangs_holds_up_nobody(driver: Driver, machine: System, clock: Clock) -> None:
    """Proves that with a call that never returns the snapshot is there, and that others go on.

    NVIDIA's values alone are stale after two intervals, with their last value beside the reason.
    """
    driver.tells(card(rules=("hang DeviceGetPowerUsage 3",)))
    host = Host(clock)
    with Collector([NvmlSampler(machine), host], system=machine, interval_s=0.02) as collector:
        assert collector.wait(30)
        while driver.calls("DeviceGetPowerUsage") < 4:
            assert host.asked.acquire(timeout=30)
        clock.now += 0.03  # less than two intervals: not yet late
        assert isinstance(power(collector.snapshot()), Value)
        clock.now += 0.02
        host.asked = threading.Semaphore(0)
        assert all(host.asked.acquire(timeout=30) for _ in range(3))
        after = collector.snapshot()
    late = power(after)
    assert isinstance(late, Absent)
    assert late.reason is Reason.STALE
    assert isinstance(late.last, Value)
    assert isinstance(after.host["load"], Value)
    assert [check.works for check in after.checks] == [False, True]


def test_a_driver_that_hangs_from_the_first_is_told_of(driver: Driver, machine: System, clock: Clock) -> None:
    """Proves that a start that never returns leaves the snapshot of the others, and a check that says so."""
    driver.tells(system=("hang InitWithFlags",))
    host = Host(clock)
    with Collector([NvmlSampler(machine), host], system=machine, interval_s=1) as collector:
        while not driver.calls("InitWithFlags"):
            assert host.asked.acquire(timeout=30) or driver.calls("InitWithFlags")
        clock.now += 6
        snapshot = collector.snapshot()
    assert snapshot.devices == ()
    check = snapshot.checks[0]
    assert check.reason is not None
    assert (check.works, check.reason.reason) == (False, Reason.STALE)


def test_a_lost_device_holds_no_processes(driver: Driver, machine: System, clock: Clock) -> None:
    """Proves that what ran on a device is not shown once it is lost, though the list is not yet due again."""
    driver.tells(card(processes=("compute 5 1024 python",), rules=("fail DeviceGetPowerUsage 15 3",)))
    host = Host(clock)
    with Collector([NvmlSampler(machine), host], system=machine, interval_s=0.02) as collector:
        assert collector.wait(30)
        snapshot = collector.snapshot()
        while isinstance(power(snapshot), Value):
            assert isinstance(snapshot.devices[0].processes, tuple)
            assert host.asked.acquire(timeout=30)
            snapshot = collector.snapshot()
    held = snapshot.devices[0].processes
    assert isinstance(held, Absent)
    assert held.reason is Reason.LOST_DEVICE


def test_a_slow_driver_is_waited_for(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that slowness alone costs no value."""
    driver.tells(card(rules=("slow DeviceGetPowerUsage 20000",)))
    assert isinstance(nvml.sample(processes=True).devices[0]["power"], Value)


def power(snapshot: Snapshot) -> object:
    """Return the power of the first device."""
    return snapshot.devices[0]["power"]
