"""AMD's Python binding, by a stand-in with the functions, fields and errors of amdsmi 6.x and 7.x."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwledger.telemetry.amd import library
from hwledger.telemetry.amd.binding import AmdsmiSampler, sampler
from hwledger.telemetry.amd.library import load
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import DeviceSnapshot
from hwledger.telemetry.system import System
from support.kernel import card, machine

pytestmark = pytest.mark.requirement("FR-TEL-AMD")

STAND_IN = '''
"""Stand-in: functions, fields and errors as amdsmi 7.0.2 has them."""
from enum import IntEnum

CALLS = []
FAILS = {}

class AmdSmiException(Exception):
    pass

class AmdSmiLibraryException(AmdSmiException):
    def __init__(self, err_code):
        super().__init__(err_code)
        self.err_code = abs(err_code)
    def __str__(self):
        return "Error code:\\n\\t{} | AMDSMI_STATUS".format(self.err_code)

class AmdSmiMemoryType(IntEnum):
    VRAM = 0
    VIS_VRAM = 1
    GTT = 2

class AmdSmiTemperatureType(IntEnum):
    EDGE = 0
    HOTSPOT = 1
    VRAM = 2

class AmdSmiTemperatureMetric(IntEnum):
    CURRENT = 0
    CRITICAL = 5

class AmdSmiClkType(IntEnum):
    GFX = 1
    MEM = 5

def _function(name, answer):
    def function(*arguments):
        CALLS.append((name, *arguments))
        if name in FAILS:
            raise AmdSmiLibraryException(FAILS[name])
        return answer(*arguments)
    globals()[name] = function

_function("amdsmi_init", lambda: None)
_function("amdsmi_shut_down", lambda: None)
_function("amdsmi_get_processor_handles", lambda: ["h0", "h1"])
_function("amdsmi_get_gpu_device_bdf", lambda h: {"h0": "0000:0c:00.0", "h1": "0000:22:00.0"}[h])
_function("amdsmi_get_gpu_device_uuid", lambda h: h + "ff74a1-0000-1000-80ae-7c8cefe1f084")
_function("amdsmi_get_gpu_asic_info", lambda h: {
    "market_name": "AMD Instinct MI300X", "device_id": "0x74a1"})
_function("amdsmi_get_gpu_board_info", lambda h: {"product_name": "N/A"})
_function("amdsmi_get_gpu_driver_info", lambda h: {"driver_name": "amdgpu", "driver_version": "6.14.14"})
_function("amdsmi_get_rocm_version", lambda: (True, "7.0.2"))
_function("amdsmi_get_gpu_memory_total", lambda h, kind: {0: 206141652992, 2: 54 * 10**10}[kind])
_function("amdsmi_get_gpu_memory_usage", lambda h, kind: {0: 1073741824, 2: 4096}[kind])
_function("amdsmi_get_gpu_vram_usage", lambda h: {"vram_total": 196592, "vram_used": 1024})
_function("amdsmi_get_gpu_activity", lambda h: {"gfx_activity": 99, "umc_activity": "N/A", "mm_activity": 0})
_function("amdsmi_get_temp_metric", lambda h, sensor, metric: 40 + 10 * sensor + 50 * (metric == 5))
_function("amdsmi_get_power_info", lambda h: {
    "socket_power": 650, "current_socket_power": 650, "average_socket_power": "N/A",
    "power_limit": 4294967295})
_function("amdsmi_get_power_cap_info", lambda h: {"power_cap": 750000000, "max_power_cap": 750000000})
_function("amdsmi_get_energy_count", lambda h: {"energy_accumulator": 1000000, "counter_resolution": 15.259})
_function("amdsmi_get_clock_info", lambda h, kind: {"clk": 2100 if kind == 1 else 1300, "max_clk": 2100})
_function("amdsmi_get_pcie_info", lambda h: {
    "pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 32000},
    "pcie_metric": {"pcie_width": 8, "pcie_speed": 16000}})
_function("amdsmi_get_gpu_fan_speed", lambda h, sensor: 102)
_function("amdsmi_get_gpu_fan_speed_max", lambda h, sensor: 255)
_function("amdsmi_get_gpu_total_ecc_count", lambda h: {"correctable_count": 9, "uncorrectable_count": 1})
_function("amdsmi_get_gpu_perf_level", lambda h: "AMDSMI_DEV_PERF_LEVEL_AUTO")
_function("amdsmi_get_gpu_metrics_info", lambda h: {"throttle_status": False})
_function("amdsmi_get_gpu_process_list", lambda h: [
    {"name": "python3", "pid": 77, "mem": 2048,
     "memory_usage": {"vram_mem": 2048, "gtt_mem": 0, "cpu_mem": 0}},
    {"name": "N/A", "pid": 78, "mem": 0, "memory_usage": {"vram_mem": 0, "gtt_mem": 0, "cpu_mem": 0}}])
'''


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder in Python's path for modules, with a library that loads."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "amdsmi"]:
        del sys.modules[name]


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Return a machine without cards that sleep."""
    return machine(tmp_path)


def begun(on_path: Path, system: System, without: str = "", **fails: int) -> AmdsmiSampler:
    """Return a sampler of the stand-in, with functions left out or failing."""
    text = "\n".join(line for line in STAND_IN.splitlines() if not without or f'"{without}"' not in line)
    (on_path / "amdsmi.py").write_text(text, "utf-8")
    loaded = load(system)
    loaded.FAILS.update(fails)
    return AmdsmiSampler(system, lambda _: loaded)


def values(device: DeviceSnapshot) -> dict[str, object]:
    """Return its values, and reasons by their name."""
    return {
        str(name): each.value if isinstance(each, Value) else str(each.reason)
        for name, each in device.readings.items()
    }


def test_the_library_tells_every_quantity_that_is_declared(on_path: Path, system: System) -> None:
    """Units are turned into base units; devices stand under their PCI address."""
    asked = begun(on_path, system)
    assert isinstance(asked, Sampler)
    assert asked.check().found == "2 devices"
    first, second = asked.sample(processes=True).devices
    assert (first.key, first.name, first.index) == ("0000:0c:00.0", "AMD Instinct MI300X", 0)
    assert (first.uuid[:10], second.key) == ("h0ff74a1-0", "0000:22:00.0")
    assert values(first) == {
        "driver": "6.14.14", "runtime": "ROCm 7.0.2", "memory_total": 206141652992, "memory_used": 1 << 30,
        "shared_memory_total": 54 * 10**10, "shared_memory_used": 4096, "utilization": 0.99,
        "memory_activity": "unsupported", "temperature": 40, "temperature_hotspot": 50,
        "temperature_memory": 60, "power": 650, "power_limit": 750, "energy": pytest.approx(15.259),
        "clock": 2.1e9, "clock_max": 2.1e9, "clock_memory": 1.3e9, "clock_memory_max": 2.1e9,
        "pcie_width": 8, "pcie_width_max": 16, "pcie_generation": 4, "pcie_generation_max": 5,
        "fan": pytest.approx(0.4), "errors_uncorrected": 1, "performance_state": "auto", "throttle": (),
    }  # fmt: skip
    assert set(first.readings) == asked.coverage.gives


def test_processes_without_memory_are_those_that_may_not_be_seen(on_path: Path, system: System) -> None:
    """0 bytes of a process that runs is no permission; the list is not asked for when it is not wanted."""
    asked = begun(on_path, system)
    device = asked.sample(processes=True).devices[0]
    assert not isinstance(device.processes, Absent)
    seen, unseen = device.processes
    assert isinstance(seen.memory, Value)
    assert (seen.name, seen.memory.value, unseen.name) == ("python3", 2048, "")
    assert isinstance(unseen.memory, Absent)
    assert unseen.memory.reason is Reason.NO_PERMISSION
    module = asked._module
    module.CALLS.clear()
    asked.sample(processes=False)
    assert "amdsmi_get_gpu_process_list" not in {call[0] for call in module.CALLS}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(2, Reason.UNSUPPORTED), (10, Reason.NO_PERMISSION), (8, Reason.STALE), (12, Reason.LOST_DEVICE),
     (-30, Reason.STALE), (4294967295, Reason.UNPARSED)],
)  # fmt: skip
def test_an_error_of_one_function_is_a_reason_for_its_values(
    code: int, reason: Reason, on_path: Path, system: System
) -> None:
    """The others are told all the same."""
    asked = begun(on_path, system, amdsmi_get_power_info=code, amdsmi_get_gpu_activity=code)
    device = asked.sample(processes=False).devices[0]
    for name in ("power", "utilization"):
        reading = device[name]
        assert isinstance(reading, Absent)
        assert reading.reason is reason
    assert isinstance(device["memory_used"], Value)


@pytest.mark.parametrize(
    "name",
    [
        line.split('"')[1]
        for line in STAND_IN.splitlines()
        if line.startswith("_function") and "_gpu_" in line
    ],
)
def test_a_function_that_a_version_lacks_is_unsupported(name: str, on_path: Path, system: System) -> None:
    """Versions differ in their functions; what is lacking is said, and nothing fails."""
    text = STAND_IN + f"\ndel {name}\n"
    (on_path / "amdsmi.py").write_text(text, "utf-8")
    devices = AmdsmiSampler(system).sample(processes=True).devices
    assert len(devices) == 2
    assert all(isinstance(each, Value | Absent) for device in devices for each in device.readings.values())


def test_memory_in_mib_stands_in_for_bytes(on_path: Path, system: System) -> None:
    """Where a version does not tell bytes, the older function's MiB count."""
    asked = begun(on_path, system, amdsmi_get_gpu_memory_total=2, amdsmi_get_gpu_memory_usage=2)
    device = asked.sample(processes=False).devices[0]
    assert (values(device)["memory_total"], values(device)["memory_used"]) == (196592 << 20, 1 << 30)
    assert values(device)["shared_memory_total"] == "unsupported"


def test_an_edge_whose_limit_is_0_is_no_sensor(on_path: Path, system: System) -> None:
    """Parts without that sensor answer with figures all the same."""
    (on_path / "amdsmi.py").write_text(
        STAND_IN + '\n_function("amdsmi_get_temp_metric", lambda h, s, m: 0 if m == 5 else 33)\n', "utf-8"
    )
    device = AmdsmiSampler(system).sample(processes=False).devices[0]
    assert (values(device)["temperature"], values(device)["temperature_hotspot"]) == ("unsupported", 33)


@pytest.mark.parametrize(("code", "reason"), [(34, Reason.ABSENT_TOOL), (10, Reason.NO_PERMISSION)])
def test_a_library_that_does_not_start_is_checked(
    code: int, reason: Reason, on_path: Path, system: System
) -> None:
    """The check has the reason and what to do; a sample has the failure."""
    asked = begun(on_path, system, amdsmi_init=code)
    check = asked.check()
    assert not check.works
    assert check.reason is not None
    assert check.reason.reason is reason
    assert check.remedy
    assert asked.sample(processes=True).failure == check.reason


def test_the_library_is_not_started_while_a_card_sleeps(
    on_path: Path, tmp_path: Path, system: System
) -> None:
    """Starting opens every card; later a card that fell asleep is left alone, and the others are told."""
    folder = card(tmp_path, 0, {"power/runtime_status": "suspended"}, "0000:0c:00.0")
    asked = begun(on_path, system)
    assert asked.check().works
    sample = asked.sample(processes=True)
    assert sample.failure is not None
    assert asked._module is not None
    assert asked._module.CALLS == []
    (folder / "power" / "runtime_status").write_text("active", "utf-8")
    assert len(asked.sample(processes=True).devices) == 2
    (folder / "power" / "runtime_status").write_text("suspended", "utf-8")
    asked._module.CALLS.clear()
    assert [each.key for each in asked.sample(processes=True).devices] == ["0000:22:00.0"]
    assert "h0" not in {call[1] for call in asked._module.CALLS if len(call) > 1}


def test_closing_shuts_the_library_down_once(on_path: Path, system: System) -> None:
    """What was started is ended; closing again does nothing."""
    asked = begun(on_path, system)
    asked.sample(processes=False)
    asked.close()
    asked.close()
    assert [call[0] for call in asked._module.CALLS].count("amdsmi_shut_down") == 1


def test_without_the_package_it_is_an_absent_tool(system: System) -> None:
    """Nothing is imported, and the check says what to install."""
    check = sampler(system).check()
    assert not check.works
    assert check.reason is not None
    assert (check.reason.reason, "amdsmi" in check.found) == (Reason.ABSENT_TOOL, True)
    assert "amdsmi" not in sys.modules


def test_a_package_without_its_library_is_not_imported(
    on_path: Path, system: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real package prints and fails where libamd_smi.so is absent: it is looked for first."""
    package = on_path / "amdsmi"
    package.mkdir()
    (package / "__init__.py").write_text("print('never')\nraise KeyError('libamd_smi.so')\n", "utf-8")
    tried: list[str] = []

    def refuse(place: str) -> object:
        tried.append(place)
        raise OSError(place)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    found = load(system)
    assert isinstance(found, Absent)
    assert (found.reason, "libamd_smi.so" in found.detail) == (Reason.ABSENT_TOOL, True)
    assert "libamd_smi.so" in tried
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("body", ["raise KeyError('libamd_smi.so')", "import no_such_module", "x = ("])
def test_a_package_that_breaks_is_an_absent_tool(body: str, on_path: Path, system: System) -> None:
    """Whatever its import raises is a sentence."""
    (on_path / "amdsmi.py").write_text(body, "utf-8")
    found = library.load(system)
    assert isinstance(found, Absent)
    assert found.reason is Reason.ABSENT_TOOL


def test_garbage_of_functions_is_no_value(on_path: Path, system: System) -> None:
    """Functions that answer with something else altogether give reasons, never a number of ours."""
    lines = [line.split('"')[1] for line in STAND_IN.splitlines() if line.startswith("_function")]
    kept = {"amdsmi_init", "amdsmi_get_processor_handles"}
    for answer in ("None", "'x'", "[[1], {}]", "float('nan')", "object()", "{'value': {}}", "10**400"):
        text = STAND_IN + "".join(
            f'\n_function("{name}", lambda *a: {answer})' for name in lines if name not in kept
        )
        (on_path / "amdsmi.py").write_text(text, "utf-8")
        sys.modules.pop("amdsmi", None)
        for device in AmdsmiSampler(system).sample(processes=True).devices:
            told = {name for name, each in device.readings.items() if isinstance(each, Value)}
            assert told <= {Quantity.PERFORMANCE_STATE, Quantity.RUNTIME, Quantity.DRIVER}, answer
