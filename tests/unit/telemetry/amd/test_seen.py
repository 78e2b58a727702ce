"""Forms of AMD's outputs that people post: versions of 2018 to 2025 that differ in shape."""

from typing import Any

import pytest

from hwledger.telemetry.amd.formats import FORMATS
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value, bytes_of
from hwledger.telemetry.recorded import formats, read_recorded
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-AMD")
Q = Quantity


def read(text: str, kind: str) -> Sample:
    """Return what a text says; only one format knows it."""
    assert [each.name for each in formats() if each.recognises(text)] == [kind]
    assert kind in {each.name for each in FORMATS}
    return read_recorded(text)[1]


def told(device: DeviceSnapshot) -> dict[str, Any]:
    """Return the values of a device, and its reasons by their name."""
    return {
        str(name): each.value if isinstance(each, Value) else each.reason
        for name, each in device.readings.items()
    }


@pytest.mark.parametrize("level", ["Fan Level: 64 (25%)", "Fan Level: 64 (25.0)%"])
def test_lines_of_2018_and_2019_are_read(level: str) -> None:
    """Clocks, temperature and performance had other names; of the fan the share counts, not the level."""
    lines = ("Temperature: 61.5c", "GPU Clock Level: 2 (900Mhz)", "GPU Memory Clock Level: 1 (500Mhz)",
             level, "Current PowerPlay Level: manual")  # fmt: skip
    (device,) = read("".join(f"GPU[3] \t\t: {line}\n" for line in lines), "rocm-smi -a").devices
    assert told(device) == {
        "temperature": 61.5, "clock": 900e6, "clock_memory": 500e6, "fan": 0.25,
        "performance_state": "manual",
    }  # fmt: skip
    (bare,) = read("GPU[3] : Fan Level: 64\nGPU[3] : GPU use (%): 5\n", "rocm-smi -a").devices
    assert "fan" not in told(bare)


def test_the_concise_table_is_read_by_its_heading() -> None:
    """Columns come and go between versions; a warning inside the table is none of its rows."""
    text = (
        "GPU   Temp   AvgPwr   SCLK    MCLK    PCLK         Fan    Perf  PwrCap  SCLK OD  MCLK OD  GPU%\n"
        "GPU[0] \t\t: WARNING: Empty SysFS value: pclk\n"
        "0     51.0c  33.0W    700Mhz  350Mhz  5.0GT/s, x8  12.5%  auto  150.0W  0%       1%       7%\n"
        "1     52.0c  N/A      N/A     N/A     N/A          None%  auto  N/A     0%       0%       0%\n"
    )
    sample = read(text, "rocm-smi")
    first, second = map(told, sample.devices)
    assert first == {
        "temperature": 51, "power": 33, "clock": 700e6, "clock_memory": 350e6, "fan": 0.125,
        "performance_state": "auto", "power_limit": 150, "utilization": 0.07,
    }  # fmt: skip
    assert second["fan"] == second["power"] == second["clock"] == Reason.UNSUPPORTED
    assert len(sample.troubles) == 1


def test_a_list_of_processes_is_read_without_the_card() -> None:
    """Which card a process uses is not told; nothing of a process that uses one may not be seen."""
    text = (
        "KFD process information:\n"
        "PID     PROCESS NAME    GPU(s)  VRAM USED       SDMA USED       CU OCCUPANCY\n"
        "1234567 two words       2       4096            0               9\n"
        "12      idle            0       0               0               0\n"
        "13      hidden          1       0               0               0\n"
        "14      old             1       UNKNOWN         UNKNOWN         UNKNOWN\n"
    )
    (device,) = read(text, "rocm-smi --showpids").devices
    assert not isinstance(device.processes, Absent)
    assert [(each.pid, each.name) for each in device.processes] == [
        (1234567, "two words"), (12, "idle"), (13, "hidden"), (14, "old"),
    ]  # fmt: skip
    memory = [each.memory for each in device.processes]
    assert [bytes_of(each) for each in memory] == [4096, 0, None, None]
    assert [each.reason for each in memory if isinstance(each, Absent)] == ["no permission", "unsupported"]
    assert "without the card" in device.notes[0]
    empty = read(text.partition("1234567")[0], "rocm-smi --showpids")
    assert empty.troubles
    assert not empty.devices


def test_the_list_of_hardware_names_places() -> None:
    """Each card is known by its address; no figure is made up for it."""
    text = (
        "GPU  NODE  DID     GFX RAS  VBIOS         BUS           PARTITION ID\n"
        "0    1     0x73bf  N/A      113-TEST-01   0000:0A:00.0  0\n"
    )
    (device,) = read(text, "rocm-smi --showhw").devices
    assert (device.key, device.index, dict(device.readings)) == ("0000:0a:00.0", 0, {})


def test_bytes_beside_a_share_make_it_one_of_memory() -> None:
    """``GPU memory use (%)`` is the memory's activity, but not where its bytes are told beside it."""
    text = '{"card0": {"GPU memory use (%)": "12.5", "GPU memory use": "1048576"}}'
    (device,) = read(text, "rocm-smi --json").devices
    assert told(device) == {"memory_used": 1 << 20}


def test_static_in_columns_tells_memory_and_link() -> None:
    """The size is that of the memory, in MB that are MiB; the generation follows from the rate."""
    text = (
        "gpu,market_name,bdf,max_pcie_width,max_pcie_speed,type,vendor,size\n"
        "0,X,0000:03:00.0,16,16,HBM,V,512\n"
    )
    (device,) = read(text, "amd-smi monitor, --csv").devices
    assert told(device) == {"memory_total": 512 << 20, "pcie_width_max": 16, "pcie_generation_max": 4}


def test_no_limit_is_no_limit_of_nothing() -> None:
    """A part without a power limit says 0 W."""
    text = "GPU: 0\n    LIMIT:\n        MAX_POWER: 0 W\n        SOCKET_POWER: 0 W\n"
    (device,) = read(text, "amd-smi static, metric, process").devices
    assert told(device)["power_limit"] == Reason.UNSUPPORTED


def test_the_table_without_limits_is_read() -> None:
    """amd-smi 26.1 shows power alone in its table."""
    text = (
        "| AMD-SMI 26.1.9          amdgpu version: 6.1.2    ROCm version: 6.4.9 |\n"
        "| 0000:03:00.0        Some Radeon | 4 %       40 °C   0           21 W |\n"
        "|   0       0     N/A         N/A | 9 %       N/A          100/4096 MB |\n"
    )
    (device,) = read(text, "amd-smi").devices
    found = told(device)
    assert (found["power"], found["memory_used"], found["memory_total"]) == (21, 100 << 20, 4096 << 20)
    assert "power_limit" not in found


@pytest.mark.parametrize("wrap", ["{}", '{{"devices": [{}]}}'])
def test_the_first_amdgpu_top_is_read(wrap: str) -> None:
    """One device or a list of them, without activity, and processes by name and number."""
    inner = (
        '{"DeviceName": "Some Radeon", "GRBM": {}, "Sensors": {"GFX Power": {"unit": "W", "value": 30}},'
        '"VRAM": {"Total VRAM": {"unit": "MiB", "value": 4096}},'
        '"fdinfo": {"my app (77)": {"usage": {"VRAM": {"unit": "MiB", "value": 3}}}}}'
    )
    (device,) = read(wrap.format(inner), "amdgpu_top --json").devices
    assert (device.name, bytes_of(device[Q.MEMORY_TOTAL])) == ("Some Radeon", 4096 << 20)
    assert not isinstance(device.processes, Absent)
    (process,) = device.processes
    assert (process.pid, process.name, bytes_of(process.memory)) == (77, "my app", 3 << 20)


def test_two_calls_in_one_text_are_read_together() -> None:
    """The concise table and lines of another call, copied together, tell of the same cards."""
    text = (
        "GPU  Temp   AvgPwr  SCLK    MCLK    Fan  Perf  PwrCap  VRAM%  GPU%\n"
        "0    50.0c  40.0W   800Mhz  500Mhz  0%   auto  300.0W    0%   3%\n"
        "1    51.0c  41.0W   801Mhz  501Mhz  0%   auto  300.0W    0%   4%\n"
        "GPU[0]\t\t: VRAM Total Memory (B): 1048576\n"
    )
    first, second = map(told, read(text, "rocm-smi -a").devices)
    assert (first["power"], first["memory_total"], second["power"]) == (40, 1 << 20, 41)


@pytest.mark.parametrize("cards", [1, 2])
def test_processes_of_one_card_are_its_own(cards: int) -> None:
    """``rocm-smi -a`` lists processes without the card; where there is one, it is clear whose they are."""
    text = "".join(f"GPU[{n}] : GPU use (%): 5\n" for n in range(cards)) + (
        "KFD process information:\n"
        "PID     PROCESS NAME    GPU(s)  VRAM USED       SDMA USED       CU OCCUPANCY\n"
        "77      server          1       4096            0               9\n"
    )
    held = [device.processes for device in read(text, "rocm-smi -a").devices]
    if cards == 1:
        (only,) = held
        assert not isinstance(only, Absent)
        assert [(each.pid, each.name) for each in only] == [(77, "server")]
    else:
        assert all(isinstance(each, Absent) and each.reason is Reason.UNSUPPORTED for each in held)
