"""xpu-smi, spawned: a program in ``PATH`` that answers as it is told."""

import json
import os
from pathlib import Path

import pytest

from hwledger.telemetry.drm.fdinfo import SOURCE as FDINFO
from hwledger.telemetry.intel.tool import sampler
from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from support.kernel import card
from support.tools import Tools

pytestmark = pytest.mark.requirement("FR-TEL-INTEL")

LIST = {"device_list": [
    {"device_id": 0, "device_name": "Intel(R) Arc(TM) B580", "pci_bdf_address": "0000:03:00.0"},
    {"device_id": 1, "device_name": "Intel(R) Arc(TM) A770", "pci_bdf_address": "0000:04:00.0"},
]}  # fmt: skip
ONE = {"device_id": 0, "device_name": "Intel(R) Arc(TM) B580", "pci_bdf_address": "0000:03:00.0",
       "memory_physical_size_byte": "12809404416", "driver_version": "1.6.31896", "pcie_generation": "5",
       "pcie_max_link_width": "8", "core_clock_rate_mhz": "2850"}  # fmt: skip
STATS = {"device_id": 0, "device_level": [
    {"metrics_type": f"XPUM_STATS_{name}", "value": value}
    for name, value in (
        ("GPU_UTILIZATION", 87.5), ("POWER", 151.25), ("ENERGY", 5000), ("GPU_FREQUENCY", 2400),
        ("GPU_CORE_TEMPERATURE", 61), ("MEMORY_TEMPERATURE", 72), ("MEMORY_USED", 1024),
        ("MEMORY_BANDWIDTH", 12), ("RAS_ERROR_CAT_NON_COMPUTE_ERRORS_UNCORRECTABLE", 0),
        ("PCIE_READ_THROUGHPUT", 10), ("PCIE_WRITE_THROUGHPUT", 20),
    )
]}  # fmt: skip
PS = """PID       Command             DeviceID       SHR            MEM
77        xpu-smi             0              0              1966
4242      vllm                0              0              5726404
4242      vllm                1              0              3
"""
SCRIPT = """case "$*" in
  "discovery -j") cat "$0.list" ;;
  "discovery -d 0 -j") cat "$0.one" ;;
  "stats -d 0 -j") cat "$0.stats" ;;
  ps) cat "$0.ps" ;;
  *) echo "Error: something else"; exit 3 ;;
esac"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Return a folder in ``PATH`` with an xpu-smi of two devices, which tells statistics of the first."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    tools = Tools(tmp_path)
    tools.add("xpu-smi", SCRIPT)
    texts = {"list": json.dumps(LIST), "one": json.dumps(ONE), "stats": json.dumps(STATS), "ps": PS}
    for name, text in texts.items():
        (tmp_path / "bin" / f"xpu-smi.{name}").write_text(text, "utf-8")
    return tools


def values(device: DeviceSnapshot) -> dict[str, object]:
    """Return the values of a device."""
    return {str(name): each.value for name, each in device.readings.items() if isinstance(each, Value)}


def test_it_is_asked_for_all_that_it_knows(tools: Tools) -> None:
    """List, description, statistics and processes come together under the PCI address, as declared."""
    source = sampler(tools.system())
    assert isinstance(source, Sampler)
    assert source.check().found.endswith("2 devices")
    sample = source.sample(processes=True)
    first, second = sample.devices
    assert (first.key, first.name, first.index) == ("0000:03:00.0", "Intel(R) Arc(TM) B580", 0)
    assert values(first) == {
        "utilization": 0.875, "power": 151.25, "energy": 5.0, "clock": 2.4e9, "temperature": 61,
        "temperature_memory": 72, "memory_used": 1 << 30, "memory_activity": 0.12, "errors_uncorrected": 0,
        "pcie_received": 10_000, "pcie_sent": 20_000, "memory_total": 12809404416, "clock_max": 2.85e9,
        "pcie_generation_max": 5, "pcie_width_max": 8, "driver": "1.6.31896",
    }  # fmt: skip
    assert set(values(first)) == source.coverage.gives
    assert values(second) == {}
    assert sample.troubles == (
        "xpu-smi stats -d 1: not what is expected, with exit status 3: Error: something else",
    )
    held = [device.processes for device in sample.devices]
    assert not any(isinstance(each, Absent) for each in held)
    assert [[each.pid for each in each] for each in held if not isinstance(each, Absent)] == [[4242], [4242]]


def test_it_is_spawned_at_most_every_15_seconds(tools: Tools) -> None:
    """However often it is asked, statistics run once in 15 s, and what is fixed once."""
    source = sampler(tools.system())
    for _ in range(4):
        source.sample(processes=True)
        tools.clock.now += 7.5
    calls = tools.calls()
    assert calls.count("xpu-smi discovery -j") == 1
    assert calls.count("xpu-smi discovery -d 0 -j") == 1
    assert calls.count("xpu-smi stats -d 0 -j") == 2


def test_a_card_that_sleeps_is_not_woken(tools: Tools) -> None:
    """While a card of i915 or xe is suspended the tool is not started at all."""
    card(tools.root, 0, {"power/runtime_status": "suspended"}, driver="xe")
    source = sampler(tools.system())
    assert source.check().works
    failure = source.sample(processes=True).failure
    assert failure is not None
    assert failure.reason is Reason.UNSUPPORTED
    assert tools.calls() == []


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("Error: No device discovered", Reason.UNPARSED),
        ("error: no device found", Reason.UNSUPPORTED),
        ("open /dev/dri/renderD128: Permission denied", Reason.NO_PERMISSION),
        ("Failed to init XPUM: Level Zero initialization error", Reason.ABSENT_TOOL),
        ("", Reason.UNPARSED),
    ],
)
def test_what_it_prints_instead_of_an_answer_is_a_reason(printed: str, reason: Reason, tools: Tools) -> None:
    """Each complaint has its reason and a remedy, and nothing is told."""
    tools.add("xpu-smi", f"echo '{printed}' >&2; exit 1")
    check = sampler(tools.system()).check()
    assert not check.works
    assert check.reason is not None
    assert check.reason.reason is reason
    assert check.remedy


def test_an_empty_list_is_no_device(tools: Tools) -> None:
    """A list without devices is a reason, not an empty success."""
    (tools.root / "bin" / "xpu-smi.list").write_text('{"device_list": []}', "utf-8")
    check = sampler(tools.system()).check()
    assert (check.works, check.found) == (False, "it finds no device")


def test_memory_of_processes_comes_from_the_kernel(tools: Tools) -> None:
    """The unit of xpu-smi's own figure is not certain; of the same process the kernel's is taken."""
    ours = sampler(tools.system()).sample(processes=True)
    memory = Gauge(FDINFO)(Quantity.MEMORY_USED, 5 << 30)
    kernel = DeviceSnapshot("0000:03:00.0", "", "Intel", processes=(ProcessSnapshot(4242, "python", memory),))
    first, second = merged_devices([ours, Sample(devices=(kernel,))])
    assert not isinstance(first.processes, Absent)
    assert not isinstance(second.processes, Absent)
    assert [(each.name, each.memory) for each in first.processes] == [("vllm", memory)]
    assert isinstance(second.processes[0].memory, Absent)
