"""amd-smi and rocm-smi, spawned: programs in ``PATH`` that answer as they are told."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hwledger.telemetry.amd.tools import AmdSmiSampler, RocmSmiSampler, amd_smi, rocm_smi
from hwledger.telemetry.reading import Absent, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import Sample
from support.kernel import card
from support.tools import Tools

pytestmark = pytest.mark.requirement("FR-TEL-AMD")

STATIC = {"gpu_data": [{
    "gpu": 0,
    "asic": {"market_name": "AMD Instinct MI300X", "device_id": "0x74a1"},
    "bus": {"bdf": "0000:0C:00.0", "max_pcie_width": 16, "max_pcie_speed": {"value": 32, "unit": "GT/s"},
            "pcie_interface_version": "Gen 5"},
    "limit": {"ppt0": {"socket_power_limit": {"value": 750, "unit": "W"}}},
    "driver": {"name": "amdgpu", "version": "6.14.14"},
    "vram": {"type": "HBM3", "size": {"value": 196592, "unit": "MB"}},
}]}  # fmt: skip
METRIC = {"gpu_data": [{
    "gpu": 0,
    "usage": {"gfx_activity": {"value": 87, "unit": "%"}, "umc_activity": {"value": 23, "unit": "%"}},
    "power": {"socket_power": {"value": 611, "unit": "W"}, "throttle_status": "N/A"},
    "clock": {"gfx_0": {"clk": {"value": 2090, "unit": "MHz"}, "max_clk": {"value": 2100, "unit": "MHz"}},
              "mem_0": {"clk": {"value": 1300, "unit": "MHz"}, "max_clk": {"value": 1300, "unit": "MHz"}}},
    "temperature": {"edge": "N/A", "hotspot": {"value": 71, "unit": "C"}, "mem": {"value": 58, "unit": "C"}},
    "pcie": {"width": 16, "speed": {"value": 32, "unit": "GT/s"}},
    "ecc": {"total_uncorrectable_count": 0},
    "fan": {"speed": 51, "max": 255, "rpm": "N/A", "usage": "N/A"},
    "energy": {"total_energy_consumption": {"value": 1234.5, "unit": "J"}},
    "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}, "used_vram": {"value": 150000, "unit": "MB"},
                  "free_vram": {"value": 46592, "unit": "MB"}, "total_gtt": {"value": 1000, "unit": "MB"},
                  "used_gtt": {"value": 10, "unit": "MB"}},
    "throttle": {"accumulation_counter": 4, "ppt_violation_status": "ACTIVE",
                 "socket_thermal_violation_status": "NOT ACTIVE", "hbm_thermal_violation_status": "N/A"},
    "perf_level": "AMDSMI_DEV_PERF_LEVEL_AUTO",
}]}  # fmt: skip
VLLM = {"name": "vllm", "pid": 311, "memory_usage": {"vram_mem": {"value": 5 << 30, "unit": "B"}}}
PROCESS = {"gpu_data": [{"gpu": 0, "process_list": [{"process_info": VLLM}]}]}
ROCM = {"card0": {"GPU use (%)": "12", "PCI Bus": "0000:0C:00.0", "VRAM Total Memory (B)": "206141652992"},
        "system": {"Driver version": "6.14.14"}}  # fmt: skip


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Return an empty folder of programs that is first in ``PATH``."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("ROCM_PATH", str(tmp_path / "rocm"))
    return Tools(tmp_path)


def told(sample: Sample) -> dict[str, object]:
    """Return the values of the one device."""
    (device,) = sample.devices
    return {str(name): each.value for name, each in device.readings.items() if isinstance(each, Value)}


def test_amd_smi_is_asked_for_all_that_it_knows(tools: Tools) -> None:
    """What does not change, metrics and processes come together under the PCI address."""
    tools.say("amd-smi", static=STATIC, metric=METRIC, process=PROCESS)
    sampler = amd_smi(tools.system())
    assert isinstance(sampler, Sampler)
    assert sampler.check().works
    sample = sampler.sample(processes=True)
    (device,) = sample.devices
    assert (device.key, device.name, device.index) == ("0000:0c:00.0", "AMD Instinct MI300X", 0)
    found = told(sample)
    assert found == {
        "memory_total": 196592 << 20, "memory_used": 150000 << 20, "memory_free": 46592 << 20,
        "shared_memory_total": 1000 << 20, "shared_memory_used": 10 << 20, "utilization": 0.87,
        "memory_activity": 0.23, "temperature_hotspot": 71, "temperature_memory": 58, "power": 611,
        "power_limit": 750, "energy": 1234.5, "clock": 2.09e9, "clock_max": 2.1e9, "clock_memory": 1.3e9,
        "clock_memory_max": 1.3e9, "throttle": ("power limit",), "pcie_generation": 5,
        "pcie_generation_max": 5, "pcie_width": 16, "pcie_width_max": 16, "errors_uncorrected": 0,
        "driver": "6.14.14", "performance_state": "auto", "fan": pytest.approx(0.2),
    }  # fmt: skip
    assert device["temperature"] == Absent(Reason.UNSUPPORTED, "it says 'N/A'", "amd-smi")
    assert not isinstance(device.processes, Absent)
    assert [(each.pid, each.name) for each in device.processes] == [(311, "vllm")]
    assert set(device.readings) == sampler.coverage.gives


def test_each_command_is_spawned_at_most_every_15_seconds(tools: Tools) -> None:
    """However often a sampler is asked, a command runs once in 15 s, and what is fixed runs once."""
    tools.say("amd-smi", static=STATIC, metric=METRIC, process=PROCESS)
    tools.say("rocm-smi", **{"-i": ROCM})
    samplers = (amd_smi(tools.system()), rocm_smi(tools.system()))
    for sampler in samplers:
        assert sampler.pace.least_seconds >= 15
        sampler.check()
    for _ in range(46):
        for sampler in samplers:
            assert sampler.sample(processes=True).devices
        tools.clock.now += 1.0
    calls = [line.split(" ")[:2] for line in tools.calls()]
    counted = {
        name: calls.count(name.split())
        for name in ("amd-smi static", "amd-smi metric", "amd-smi process", "rocm-smi -i")
    }
    assert counted == {"amd-smi static": 1, "amd-smi metric": 4, "amd-smi process": 4, "rocm-smi -i": 4}


@pytest.mark.parametrize("make", [amd_smi, rocm_smi])
def test_no_tool_is_spawned_while_a_card_sleeps(make: type[AmdSmiSampler], tools: Tools) -> None:
    """Both open every card: with one that sleeps nothing is spawned, and the card is named."""
    tools.say("amd-smi", static=STATIC, metric=METRIC, process=PROCESS)
    tools.say("rocm-smi", **{"-i": ROCM})
    folder = card(tools.root, 1, {"power/runtime_status": "suspended"})
    sampler = make(tools.system())
    assert "0000:03:00.0" in sampler.check().found
    sample = sampler.sample(processes=True)
    assert sample.failure is not None
    assert sample.failure.reason is Reason.UNSUPPORTED
    assert tools.calls() == []
    (folder / "power" / "runtime_status").write_text("active", "utf-8")
    assert sampler.sample(processes=True).devices


def test_they_give_way_to_what_knows_more() -> None:
    """rocm-smi to amd-smi, and both to the binding."""
    assert RocmSmiSampler.yields_to == {"amdsmi", "amd-smi"}
    assert AmdSmiSampler.yields_to == {"amdsmi"}


def test_a_tool_that_is_not_there_is_absent(tools: Tools) -> None:
    """The check names it and what to do."""
    tools.root.joinpath("bin").mkdir()
    check = replace(tools.system(), environ={"PATH": str(tools.root / "bin"), "ROCM_PATH": "/no/such"})
    for sampler in (amd_smi(check), rocm_smi(check)):
        found = sampler.check()
        assert not found.works
        assert found.reason is not None
        assert found.reason.reason is Reason.ABSENT_TOOL
        assert found.remedy


def test_a_tool_in_the_folder_of_rocm_is_found(tools: Tools) -> None:
    """ROCm installs its tools where ``PATH`` does not lead."""
    tools.say("rocm-smi", **{"-i": ROCM})
    (tools.root / "rocm").mkdir()
    (tools.root / "bin").rename(tools.root / "rocm" / "bin")
    system = replace(tools.system(), environ={"PATH": "/bin", "ROCM_PATH": str(tools.root / "rocm")})
    assert rocm_smi(system).check().works


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'WARNING: No JSON data to report'", Reason.UNSUPPORTED),
        ("echo 'ERROR:root:Driver not initialized (amdgpu not found in modules)' >&2; exit 255",
         Reason.ABSENT_TOOL),
        ("echo 'WARNING: User is missing from the following required groups: render, video' >&2; exit 1",
         Reason.NO_PERMISSION),
        ("echo '{\"card0\": {\"GPU use'", Reason.UNPARSED),
        ("echo '[{\"gpu\": '", Reason.UNPARSED),
        ("echo; exit 3", Reason.UNPARSED),
        ("head -c 100000 /dev/urandom", Reason.UNPARSED),
        ("printf '[%.0s' $(seq 3000)", Reason.UNPARSED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["amd-smi", "rocm-smi"])
def test_what_is_no_output_is_a_reason(name: str, script: str, reason: Reason, tools: Tools) -> None:
    """Complaints, broken JSON and noise fail with their reason, a sentence, and no device."""
    tools.add(name, script)
    sampler = {"amd-smi": amd_smi, "rocm-smi": rocm_smi}[name](tools.system())
    sample = sampler.sample(processes=True)
    assert sample.devices == ()
    assert sample.failure is not None
    assert sample.failure.reason is reason
    assert sample.troubles[0].startswith(f"{name}: ")
    assert not sampler.check().works


def test_amd_smi_that_tells_only_metrics_is_read(tools: Tools) -> None:
    """What one command cannot tell is a trouble; the others count."""
    tools.say("amd-smi", metric=METRIC)
    sample = amd_smi(tools.system()).sample(processes=True)
    assert told(sample)["memory_used"] == 150000 << 20
    assert len(sample.troubles) == 2


def test_rocm_smi_is_asked_once_for_everything(tools: Tools) -> None:
    """One command with every option; what it says is read as its recorded outputs are."""
    tools.say("rocm-smi", **{"-i": ROCM})
    sampler = rocm_smi(tools.system())
    assert isinstance(sampler, Sampler)
    assert told(sampler.sample(processes=True)) == {
        "utilization": 0.12, "memory_total": 206141652992, "driver": "6.14.14",
    }  # fmt: skip
    assert len(tools.calls()) == 1
    assert "--json" in tools.calls()[0]
