"""What becomes of NVIDIA's devices when the driver does not work, or no longer works."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from hwledger.telemetry.nvidia.facts import failure_of
from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.nvidia.present import library_there
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value
from support.nvidia import SPEC, Clock, Driver, card, mig_card

pytestmark = pytest.mark.requirement("FR-TEL-NVML")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (9, Reason.ABSENT_TOOL, ("kernel driver is not loaded", "modprobe")),
        (18, Reason.ABSENT_TOOL, ("of different versions", "restart")),
        (4, Reason.NO_PERMISSION, ("this user", "/dev/nvidiactl")),
        (17, Reason.NO_PERMISSION, ("operating system", "/dev/nvidia")),
        (15, Reason.LOST_DEVICE, ("fell off the bus", "restart")),
        (16, Reason.LOST_DEVICE, ("needs a reset", "reset")),
        (999, Reason.LOST_DEVICE, ("unknown error", "dmesg")),
        (77, Reason.UNPARSED, ("77", "nvidia-smi")),
    ],
)
def test_a_driver_that_does_not_start_says_why(
    code: int, reason: Reason, words: tuple[str, str], nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves reason, sentence and remedy of the check and of the sample for each way not to start."""
    word, remedy = words
    driver.tells(system=(f"init {code}",))
    check = nvml.check()
    assert not check.works
    assert word in check.found
    assert remedy in check.remedy
    assert check.reason is not None
    assert check.reason.reason is reason
    sample = nvml.sample(processes=True)
    assert (sample.devices, sample.failure) == ((), check.reason)
    assert word in sample.troubles[0]


def test_a_driver_that_does_not_count_its_devices_has_failed(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that an unanswered question for the number of devices is not taken for none."""
    driver.tells(card(), system=("fail DeviceGetCount 4",))
    assert not nvml.check().works
    failure = nvml.sample(processes=True).failure
    assert failure is not None
    assert failure.reason is Reason.NO_PERMISSION


def test_a_driver_without_devices_works(nvml: NvmlSampler) -> None:
    """Proves that no device is an answer."""
    check = nvml.check()
    assert (check.works, check.found) == (True, "0 devices (driver 580.126.09, CUDA 13.0)")
    assert nvml.sample(processes=True).failure is None


def test_without_a_library_the_tool_is_absent(monkeypatch: pytest.MonkeyPatch, nvml: NvmlSampler) -> None:
    """Proves that a machine without NVIDIA's library is told so, before nvidia-ml-py is asked."""
    monkeypatch.setattr("hwledger.telemetry.nvidia.present.LIBRARY", "libno-such-library.so.1")
    monkeypatch.delitem(sys.modules, "pynvml")
    check = nvml.check()
    assert not check.works
    assert check.reason is not None
    assert check.reason.reason is Reason.ABSENT_TOOL
    assert "libnvidia-ml.so.1" in check.found
    assert "pynvml" not in sys.modules


def test_macos_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that none is looked for where there can be none, and that Windows' is left to nvidia-ml-py."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not library_there()
    monkeypatch.setattr(sys, "platform", "win32")
    assert library_there()


@pytest.mark.parametrize("code", [15, 16])
def test_a_device_that_is_lost_on_the_way(code: int, nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a lost device keeps its name and says why, is asked no more in that sweep, and alone."""
    driver.tells(card(0), card(1))
    nvml.sample(processes=True)
    driver.tells(card(0), card(1, rules=(f"fail * {code}",)))
    driver.forget()
    well, lost = nvml.sample(processes=True).devices
    assert isinstance(well["power"], Value)
    assert (lost.key, lost.name) == ("0000:02:00.0", "NVIDIA GeForce RTX 4090")
    asked = {n: r for n, r in lost.readings.items() if n not in CONSTANT}
    assert {r.reason for r in asked.values() if isinstance(r, Absent)} == {Reason.LOST_DEVICE}
    derived = {Quantity.MEMORY_USABLE, Quantity.POWER_STATE}
    assert asked.keys() == nvml.coverage.gives - CONSTANT - derived
    assert isinstance(lost.processes, Absent)
    assert driver.calls("DeviceGetPowerUsage") == 1


CONSTANT = {
    Quantity.DRIVER, Quantity.RUNTIME, Quantity.CLOCK_MAX, Quantity.CLOCK_MEMORY_MAX,
    Quantity.PCIE_GENERATION_MAX, Quantity.PCIE_WIDTH_MAX,
}  # fmt: skip


def test_a_lost_device_comes_back(nvml: NvmlSampler, driver: Driver, clock: Clock) -> None:
    """Proves that the library is started anew for a lost device, ever more seldom, until it is back."""
    well = (card(0), card(1))
    ill = (card(0), card(1, rules=("fail * 15",)))
    driver.tells(*well)
    nvml.sample(processes=True)
    driver.tells(*ill)
    starts = []
    for _ in range(700):
        clock.now += 1
        driver.forget()
        sample = nvml.sample(processes=False)
        starts += [clock.now - 100] * driver.calls("InitWithFlags")
        assert [device.key for device in sample.devices] == ["0000:01:00.0", "0000:02:00.0"]
        assert isinstance(sample.devices[0]["power"], Value)
        assert sample.troubles == ("NVIDIA GeForce RTX 4090 (0000:02:00.0): the device fell off the bus",)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    driver.tells(*well)
    clock.now += 300
    sample = nvml.sample(processes=False)
    assert sample.troubles == ()
    assert all(isinstance(device["power"], Value) for device in sample.devices)


def test_a_device_that_is_no_longer_counted_is_lost(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a device that fell off the list is still shown, with the reason."""
    driver.tells(card(0), card(1))
    nvml.sample(processes=True)
    driver.tells(card(0))
    well, lost = nvml.sample(processes=True).devices
    assert isinstance(well["power"], Value)
    assert lost.key == "0000:02:00.0"
    assert isinstance(lost["power"], Absent)
    assert lost["power"].reason is Reason.LOST_DEVICE


def test_a_device_without_a_handle_has_no_name_but_a_reason(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a device that is lost from the first is shown by its number."""
    driver.tells(card(0), card(1, rules=("fail DeviceGetHandleByIndex 15",)))
    sample = nvml.sample(processes=True)
    assert [device.key for device in sample.devices] == ["0000:01:00.0", "NVIDIA-1"]
    assert sample.troubles == ("an NVIDIA device (NVIDIA-1): the device fell off the bus",)


def test_a_driver_that_was_reloaded_is_started_anew_at_once(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that void handles cost no sample: new ones are got, and values are told."""
    driver.tells(card())
    nvml.sample(processes=True)
    driver.unload()
    (device,) = nvml.sample(processes=False).devices
    assert isinstance(device["power"], Value)


def test_a_reload_does_not_wait_for_a_lost_device(nvml: NvmlSampler, driver: Driver, clock: Clock) -> None:
    """Proves that devices that are well are told at once after a reload, though another is long lost."""
    ill = (card(0), card(1, rules=("fail * 15",)))
    driver.tells(*ill)
    for _ in range(10):
        clock.now += 1
        nvml.sample(processes=False)
    driver.unload()
    well, lost = nvml.sample(processes=False).devices
    assert isinstance(well["power"], Value)
    assert isinstance(lost["power"], Absent)
    driver.tells(*ill, card(2))
    assert [isinstance(d["power"], Value) for d in nvml.sample(processes=True).devices] == [True, False, True]


def test_a_driver_that_stays_away_is_asked_ever_more_seldom(
    nvml: NvmlSampler, driver: Driver, clock: Clock
) -> None:
    """Proves that devices are shown without values meanwhile, with waits that double, and come back."""
    driver.tells(card())
    nvml.sample(processes=True)
    driver.tells(card(), system=("init 9",))
    driver.unload()
    starts = 0
    for _ in range(63):
        driver.forget()
        sample = nvml.sample(processes=True)
        starts += driver.calls("InitWithFlags")
        assert sample.failure is not None
        assert sample.failure.reason is Reason.ABSENT_TOOL
        assert [device.key for device in sample.devices] == ["0000:01:00.0"]
        assert sample.devices[0]["power"] == sample.failure
        clock.now += 1
    assert starts == 6
    driver.tells(card())
    clock.now += 300
    sample = nvml.sample(processes=True)
    assert sample.failure is None
    assert isinstance(sample.devices[0]["power"], Value)


def test_a_driver_that_was_updated_needs_this_program_to_start_anew(
    nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves that the sentence says what helps: the library of before is loaded, and stays so."""
    driver.tells(card())
    nvml.sample(processes=True)
    driver.tells(card(), system=("init 18",))
    driver.unload()
    (line,) = nvml.sample(processes=True).troubles
    assert "of different versions" in line
    assert "must be started anew" in line


def test_a_slice_that_went_does_not_hide_the_others(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a slice whose handle became void has a reason, and its neighbour its values."""
    driver.tells(mig_card())
    nvml.sample(processes=True)
    changed = mig_card()
    changed.slices[0].rules = ("fail * 6",)
    driver.tells(changed)
    _, gone, other = nvml.sample(processes=False).devices
    assert isinstance(gone["memory_total"], Absent)
    assert gone["memory_total"].reason is Reason.LOST_DEVICE
    assert isinstance(other["memory_total"], Value)


def test_a_function_that_is_missing_is_an_old_driver(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that ``NVMLLibraryMismatchError``, which is no NVMLError, is understood."""
    import pynvml  # noqa: PLC0415 - the stand-in is in its place by now

    driver.tells()
    nvml.check()
    error = pynvml.NVMLLibraryMismatchError("unversioned")
    assert not isinstance(error, pynvml.NVMLError)
    assert nvml._binding.failure(error) == failure_of(13)
    assert isinstance(error, nvml._binding.errors)


def test_text_that_is_no_text_is_unparsed(nvml: NvmlSampler, driver: Driver) -> None:
    """Proves that a name in no known encoding ends in no exception."""
    driver.tells(card(name="NVIDIA"))
    path = Path(os.environ[SPEC])
    path.write_bytes(path.read_bytes().replace(b"device NVIDIA", b"device \xff\xfe").replace(b"580", b"\xff"))
    path.write_bytes(path.read_bytes() + b"driver \xff\n")
    driver.library.standin_reload()
    (device,) = nvml.sample(processes=True).devices
    assert device.name == ""
    assert isinstance(device["driver"], Absent)
    assert device["driver"].reason is Reason.UNPARSED


PROGRAM = """
import sys
from hwledger.telemetry.nvidia.nvml import sampler
from hwledger.telemetry.system import System
source = sampler(System())
check = source.check()
print(check.works, check.found)
print([device.name for device in source.sample(processes=True).devices])
loaded = open("/proc/self/maps").read() if sys.platform == "linux" else ""
print("libcuda" in loaded)
source.close()
"""


@pytest.mark.requirement("NFR-TEL-CALM")
def test_the_library_is_found_by_its_name(libraries: dict[str, Path], tmp_path: Path, driver: Driver) -> None:
    """Proves the whole path in a process of its own: the loader finds the library; no CUDA is loaded."""
    driver.tells(card())
    environment = os.environ | {"LD_LIBRARY_PATH": str(libraries["new"].parent)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60,
        env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "True 1 device (driver 580.126.09, CUDA 13.0)", "['NVIDIA GeForce RTX 4090']", "False",
    ]  # fmt: skip
