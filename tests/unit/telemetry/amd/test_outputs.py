"""What AMD's tools print: rules across versions, and texts that nobody expects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.amd.facts import complaint, shares_memory, throttle_word
from hwledger.telemetry.amd.formats import FORMATS
from hwledger.telemetry.reading import Absent, Basis, Reason, Value
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-AMD")


def read(text: str, kind: str = "") -> Sample:
    """Return what a text says; only one format knows it."""
    knowing = [each.name for each in FORMATS if each.recognises(text)]
    assert len(knowing) == 1, knowing
    assert not kind or knowing == [kind]
    return read_recorded(text)[1]


def told(device: DeviceSnapshot) -> dict[str, Any]:
    """Return the values of a device, and its reasons by their name."""
    return {
        str(name): each.value if isinstance(each, Value) else each.reason
        for name, each in device.readings.items()
    }


def smi(**blocks: object) -> dict[str, object]:
    """Return what amd-smi says of one GPU."""
    return {"gpu": 0, **blocks}


@pytest.mark.parametrize("wrap", [lambda gpu: [gpu], lambda gpu: {"gpu_data": [gpu]}, lambda gpu: gpu])
@pytest.mark.parametrize(
    "warned", ["", "amdsmi.py:3569: SyntaxWarning: 'return' in a 'finally' block\n  return x\n"]
)
@pytest.mark.parametrize(
    ("power", "watts"),
    [
        ({"value": 35, "unit": "W"}, 35),
        (35, 35),
        ("35 W", 35),
        ("35", 35),
        ("N/A", Reason.UNSUPPORTED),
        ({"value": "N/A", "unit": "W"}, Reason.UNSUPPORTED),
        ({"value": None, "unit": "W"}, Reason.UNSUPPORTED),
        (0, Reason.UNSUPPORTED),
        (65535, Reason.UNSUPPORTED),
        (True, Reason.UNPARSED),
        ("hot", Reason.UNPARSED),
        (["N/A", {"value": 35, "unit": "W"}], 35),
        ([1, 2], Reason.UNPARSED),
        (10**400, Reason.UNPARSED),
    ],
)
def test_amd_smi_writes_one_value_in_many_ways(wrap: Any, warned: str, power: object, watts: object) -> None:
    """List or object, plain or with a unit, behind warnings: the same value or the right reason."""
    text = warned + json.dumps(wrap(smi(power={"socket_power": power})), indent=1)
    sample = read(text, "amd-smi --json")
    assert told(sample.devices[0])["power"] == watts
    assert len(sample.troubles) == bool(warned)


def test_megabytes_of_amd_smi_are_mebibytes() -> None:
    """It divides by 1024 * 1024 and writes MB; older versions write no unit, or other names."""
    newer = {
        "mem_usage": {"total_vram": {"value": 16368, "unit": "MB"}, "used_vram": {"value": 2, "unit": "MB"}}
    }
    older = {"fb_usage": {"fb_total": 16368, "fb_used": 2}}
    monitored = {"vram_total": {"value": 16368, "unit": "MB"}, "vram_used": {"value": 2, "unit": "MB"}}
    for form in (newer, older, monitored):
        found = told(read(json.dumps([smi(**form)])).devices[0])
        assert (found["memory_total"], found["memory_used"]) == (16368 << 20, 2 << 20)


def test_what_is_watched_tells_the_newest() -> None:
    """Documents one after another are moments of the same GPUs."""
    moments = [json.dumps([smi(usage={"gfx_activity": {"value": busy, "unit": "%"}})]) for busy in (1, 50, 9)]
    sample = read("'CTRL' + 'C' to stop watching output:\n" + "\n".join(moments))
    assert [told(each)["utilization"] for each in sample.devices] == [0.09]


def test_a_branch_that_is_one_sentinel_is_a_reason() -> None:
    """``"energy": "N/A"`` says so of what stands in it."""
    found = told(read(json.dumps([smi(energy="N/A", perf_level="N/A", power={})])).devices[0])
    assert found == {"energy": Reason.UNSUPPORTED, "performance_state": Reason.UNSUPPORTED}


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"throttle": {"prochot_violation_status": "ACTIVE", "ppt_violation_status": "ACTIVE"}},
         ("external signal (PROCHOT)", "power limit")),
        ({"throttle": {"ppt_violation_status": "NOT ACTIVE", "vr_thermal_violation_status": "N/A"}}, ()),
        ({"throttle": {"ppt_violation_status": "N/A"}}, Reason.UNSUPPORTED),
        ({"throttle": "N/A"}, Reason.UNSUPPORTED),
        ({"throttle": {"gfx_clk_below_host_limit_power_violation_status": {"xcp_0": ["N/A", "ACTIVE"]},
                       "hbm_thermal_violation_status": "[NOT ACTIVE, N/A]"}}, ("power limit",)),
        ({"throttle": {"hbm_thermal_violation_status": "[NOT ACTIVE, N/A]"}}, ()),
        ({"power": {"throttle_status": "THROTTLED"}}, ("not told by what",)),
        ({"power": {"throttle_status": "UNTHROTTLED"}, "throttle": "N/A"}, ()),
        ({"power": {"throttle_status": "N/A"}}, Reason.UNSUPPORTED),
        ({"power": {"throttle_status": "maybe"}}, Reason.UNPARSED),
    ],
)  # fmt: skip
def test_throttling_is_words_or_a_reason(blocks: dict[str, Any], words: object) -> None:
    """Nothing active is the empty list; nothing told is no list."""
    assert told(read(json.dumps([smi(**blocks)])).devices[0])["throttle"] == words


def test_process_lists_of_every_version_are_read() -> None:
    """Nested or flat, with two figures or one; no process is an empty list, no list is not told."""
    nested = [{"process_info": {"name": "a", "pid": 1, "mem_usage": {"value": 4, "unit": "B"}}}]
    flat = [{"name": "a", "pid": 1, "memory_usage": {"vram_mem": {"value": 4, "unit": "B"}}}]
    for form in (nested, flat):
        (device,) = read(json.dumps([smi(process_list=form)])).devices
        assert not isinstance(device.processes, Absent)
        assert [
            (each.pid, isinstance(each.memory, Value) and each.memory.value) for each in device.processes
        ] == [(1, 4)]
    for form in ("No running processes detected", [{"process_info": "No running processes detected"}], []):
        assert read(json.dumps([smi(process_list=form)])).devices[0].processes == ()
    assert isinstance(read(json.dumps([smi(usage={})])).devices[0].processes, Absent)


HUMAN = """
CPU: 0
    SMU:
        FW_VERSION: 85.90.0

GPU: 0
    ASIC:
        MARKET_NAME: AMD Radeon 8060S
        DEVICE_ID: 0x1586
    BUS:
        BDF: 0000:C5:00.0
        PCIE_INTERFACE_VERSION: N/A
    USAGE:
        GFX_ACTIVITY: 7 %
        VCN_ACTIVITY: [N/A, N/A,
            N/A, 3 %]
    TEMPERATURE:
        EDGE: 41 °C
        HOTSPOT: N/A
    MEM_USAGE:
        TOTAL_VRAM: 98304 MB
        TOTAL_GTT: 15844 MB
    PROCESS_INFO:
        NAME: ollama
        PID: 99
        MEMORY_USAGE:
            GTT_MEM: 1.0 KB
            VRAM_MEM: 2.0 MB
    PROCESS_INFO:
        NAME: N/A
        PID: 100
        MEM_USAGE: 0 B

GPU: 1
    CLOCK:
        SYS:
            CURRENT_LEVEL: 1
            FREQUENCY_LEVELS:
                LEVEL 0: 500 MHz
                LEVEL 1: 2100 MHz
"""


def test_the_human_form_is_read_by_the_same_names() -> None:
    """Blocks of GPUs become trees; those of CPUs, wrapped arrays and repeated blocks do no harm."""
    first, second = read(HUMAN, "amd-smi static, metric, process").devices
    assert (first.key, first.name, first.kind, first.unified) == (
        "0000:c5:00.0",
        "AMD Radeon 8060S",
        "apu",
        True,
    )
    assert told(first) == {
        "memory_total": 96 << 30, "shared_memory_total": 15844 << 20, "utilization": 0.07,
        "temperature": 41, "temperature_hotspot": Reason.UNSUPPORTED,
        "pcie_generation_max": Reason.UNSUPPORTED,
    }  # fmt: skip
    assert not isinstance(first.processes, Absent)
    seen, unseen = first.processes
    assert isinstance(seen.memory, Value)
    assert isinstance(seen.shared_memory, Value)
    assert (seen.pid, seen.name, seen.memory.value, seen.shared_memory.value) == (99, "ollama", 2 << 20, 1024)
    assert isinstance(unseen.memory, Absent)
    assert unseen.memory.reason is Reason.NO_PERMISSION
    assert told(second) == {"clock": 2.1e9, "clock_max": 2.1e9}


TABLE = """+------------------------------------------------------------------------------+
| AMD-SMI 26.0.0+37d158ab      amdgpu version: 6.14.14  ROCm version: 7.0.0    |
| Platform: Linux Baremetal                                                    |
|-------------------------------------+----------------------------------------|
| BDF                        GPU-Name | Mem-Uti   Temp   UEC       Power-Usage |
| GPU  HIP-ID  OAM-ID  Partition-Mode | GFX-Uti    Fan               Mem-Usage |
|=====================================+========================================|
| 0000:0C:00.0    AMD Instinct MI300X | 12 %      41 °C   3          140/750 W |
|   0       0     7             SPX/NPS1 | 99 %      N/A          283/196592 MB |
|-------------------------------------+----------------------------------------|
| 0000:22:00.0                    N/A | N/A        N/A   N/A         N/A/N/A W |
|   1       1     N/A             N/A | N/A        N/A              N/A/N/A MB |
+-------------------------------------+----------------------------------------+
+------------------------------------------------------------------------------+
| Processes:                                                                   |
|  GPU        PID  Process Name          GTT_MEM  VRAM_MEM  MEM_USAGE     CU % |
|==============================================================================|
|    0       4711  python3.12             2.0 MB    1.5 GB     1.5 GB    99.0 % |
+------------------------------------------------------------------------------+
"""


def test_the_table_is_read_row_by_row() -> None:
    """Two rows a GPU; what says N/A is unsupported; processes stand under their GPU."""
    first, second = read(TABLE, "amd-smi").devices
    assert told(first) == {
        "memory_activity": 0.12, "temperature": 41, "errors_uncorrected": 3, "power": 140,
        "power_limit": 750, "utilization": 0.99, "fan": Reason.UNSUPPORTED, "memory_used": 283 << 20,
        "memory_total": 196592 << 20, "driver": "6.14.14", "runtime": "ROCm 7.0.0",
    }  # fmt: skip
    assert not isinstance(first.processes, Absent)
    (process,) = first.processes
    assert isinstance(process.memory, Value)
    assert (process.pid, process.name, process.memory.value) == (4711, "python3.12", 3 << 29)
    assert (second.processes, second.key, second.name) == ((), "0000:22:00.0", "")
    numbers = {name: value for name, value in told(second).items() if name not in {"driver", "runtime"}}
    assert set(numbers.values()) == {Reason.UNSUPPORTED}


MONITOR = """
GPU  XCP  POWER   GPU_T   MEM_T   GFX_CLK   GFX%   MEM%   ENC%   DEC%      VRAM_USAGE
  0    0  140 W   41 °C   34 °C   132 MHz    9 %    0 %    N/A    0 %    0.5/192.0 GB
  1    0    N/A     N/A     N/A       N/A    N/A    N/A    N/A    N/A             N/A/N/A
"""
OLDER = """
GPU  POWER  GPU_TEMP  MEM_TEMP  GFX_UTIL  GFX_CLOCK  MEM_UTIL  MEM_CLOCK  VRAM_USED  VRAM_TOTAL
  0  140 W     41 °C     34 °C       9 %    132 MHz       0 %    900 MHz     512 MB   196608 MB
"""
COMMAS = """gpu,gfx_activity,umc_activity,socket_power,hotspot,mem,gfx_0_clk,total_vram,used_vram
0,9,0,140,41,34,132,196608,512
1,9,0
"""


@pytest.mark.parametrize("text", [MONITOR, OLDER, COMMAS])
def test_columns_are_read_by_their_headings(text: str) -> None:
    """Headings differ by version; a row that does not fit its heading is not read."""
    sample = read(text, "amd-smi monitor, --csv")
    found = told(sample.devices[0])
    expected = {
        "power": 140, "temperature_hotspot": 41, "utilization": 0.09, "memory_activity": 0.0, "clock": 1.32e8,
        "memory_used": 512 << 20, "memory_total": 192 << 30,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert len(sample.devices) == (2 if text is MONITOR else 1)
    for device in sample.devices[1:]:
        assert set(told(device).values()) == {Reason.UNSUPPORTED}


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"GPU memory use (%)": "7"}, "memory_activity", 0.07),
        (
            {"GPU Memory Read/Write Activity (%)": "7", "GPU Memory Allocated (VRAM%)": "80"},
            "memory_activity",
            0.07,
        ),
        ({"Average Graphics Package Power (W)": "N/A (Secondary die)"}, "power", Reason.UNSUPPORTED),
        (
            {"Average Graphics Package Power (W)": "N/A", "Current Socket Graphics Package Power (W)": "9.5"},
            "power",
            9.5,
        ),
        ({"Average Graphics Package Power (W)": "0.0"}, "power", Reason.UNSUPPORTED),
        ({"Temperature (Sensor edge) (c)": "40.5"}, "temperature", 40.5),
        ({"sclk clock speed:": "(852Mhz)"}, "clock", 8.52e8),
        ({"sclk clock level": "1 (852Mhz)"}, "clock", 8.52e8),
        ({"sclk clock speed:": "N/A"}, "clock", Reason.UNSUPPORTED),
        ({"pcie clock level": "1 (8.0GT/s x4)"}, "pcie_width", 4),
        ({"pcie clock level": "1 (8.0GT/s x4)"}, "pcie_generation", 3),
        ({"pcie clock level": "1 (9.1GT/s x4)"}, "pcie_generation", Reason.UNPARSED),
        ({"Fan Speed (%)": "30"}, "fan", 0.3),
        ({"Fan speed (%)": "30"}, "fan", 0.3),
    ],
)
@pytest.mark.parametrize("card", ["card0", "0"])
def test_keys_of_rocm_smi_differ_by_version(
    card: str, fields: dict[str, str], name: str, value: object
) -> None:
    """Capitals, colons, units and names change; what a key means does not."""
    (device,) = read(json.dumps({card: fields}), "rocm-smi --json").devices
    assert told(device)[name] == value


def test_lines_and_json_of_rocm_smi_say_the_same() -> None:
    """One table of names; figures with separators and remarks are those that a person wrote into it."""
    fields = {
        "VRAM Total Memory (B)": "8589934592", "GTT Total Memory (B)": "133143986176", "GPU use (%)": "3",
        "PCI Bus": "0000:C5:00.0", "Card Series": "Strix Halo", "Device ID": "0x1586",
    }  # fmt: skip
    lines = "".join(f"GPU[0]\t\t: {key}: {value}\n" for key, value in fields.items())
    by_hand = lines.replace("133143986176", "133,143,986,176  (~124 GiB)")
    (document,) = read(json.dumps({"card0": fields, "system": {"Driver version": "6.17"}})).devices
    for text in (lines, by_hand):
        (device,) = read(text, "rocm-smi -a").devices
        assert (device.key, device.name, device.kind) == ("0000:c5:00.0", "Strix Halo", "apu")
        assert told(device) == {name: value for name, value in told(document).items() if name != "driver"}


def test_a_row_of_csv_that_does_not_fit_is_not_guessed() -> None:
    """A comma too many would shift every column behind it."""
    heading = "device,GPU use (%),Card Vendor,VRAM Total Memory (B)\n"
    sample = read(f"{heading}card0,1,Advanced Micro Devices, Inc.,5\ncard1,2,AMD,7\n", "rocm-smi --csv")
    assert [told(each) for each in sample.devices] == [{"utilization": 0.02, "memory_total": 7}]
    assert len(sample.troubles) == 1


NEW = """
==================================== ROCm System Management Interface =====================================
Device  Node  IDs            Temp        Power     Partitions      SCLK  MCLK  Fan  Perf  PwrCap  VRAM%  GPU%
              (DID,   GUID)  (Junction)  (Socket)  (Mem, Compute)
===========================================================================================================
0       2     0x74a1, 28851  35.0°C      133.0W    NPS1, SPX, 0    131Mhz  900Mhz  0%  auto  750.0W  0%  0%
1       3     0x74a1, 51499  N/A         N/A       NPS1, SPX, 0    None  None  0%  auto  Unsupported  N/A  3%
===========================================================================================================
"""


def test_the_concise_table_of_every_version_is_read_from_its_end() -> None:
    """The last seven columns have stayed; a share of memory is no amount of it."""
    first, second = read(NEW, "rocm-smi").devices
    assert told(first) == {
        "clock": 1.31e8, "clock_memory": 9e8, "fan": 0.0, "performance_state": "auto", "power_limit": 750,
        "utilization": 0.0, "temperature_hotspot": 35, "power": 133,
    }  # fmt: skip
    assert told(second)["memory_used"] is Reason.UNSUPPORTED
    assert {told(second)[name] for name in ("power", "power_limit", "clock", "temperature_hotspot")} == {
        Reason.UNSUPPORTED
    }


def test_amdgpu_top_tells_null_as_unsupported() -> None:
    """Null on the way or at the end is a reason; of a stream the newest counts."""
    device = {
        "Info": {
            "amdgpu_top_version": {"major": 0},
            "PCI": "0000:03:00.0",
            "GPU Type": "dGPU",
            "VRAM Size": 100,
        },
        "Sensors": {
            "Edge Temperature": None,
            "Fan": {"unit": "RPM", "value": 50},
            "Fan Max": {"unit": "RPM", "value": 200},
        },
        "VRAM": {"Total VRAM Usage": {"unit": "MiB", "value": 3}},
        "gpu_activity": {"GFX": {"unit": "%", "value": None}},
        "gpu_metrics": {"Throttle Status": ["TEMP_HOTSPOT", "PPT0"]},
        "fdinfo": {
            "12": {"name": "x", "usage": {"usage": {"VRAM": {"unit": "MiB", "value": 2}, "GTT": None}}},
            "no": 1,
        },
    }
    lines = [
        json.dumps({"devices": [{**device, "VRAM": {"Total VRAM Usage": {"unit": "MiB", "value": n}}}]})
        for n in (9, 3)
    ]
    (found,) = read("\n".join(lines), "amdgpu_top --json").devices
    assert (found.kind, found.unified) == ("gpu", False)
    assert told(found) == {
        "memory_total": 100,
        "memory_used": 3 << 20,
        "utilization": Reason.UNSUPPORTED,
        "temperature": Reason.UNSUPPORTED,
        "fan": 0.25,
        "throttle": ("power limit", "temperature"),
    }
    assert not isinstance(found.processes, Absent)
    assert [each.pid for each in found.processes] == [12]


def test_dumps_of_sysfs_are_read_in_every_form() -> None:
    """``head``, ``cat`` at a prompt and ``grep`` show the same files; what is lacking has its reason."""
    root = "/sys/class/drm/card1/device"
    levels = "0: 300Mhz \n1: 1200Mhz *\n"
    head = f"==> {root}/mem_info_vram_total <==\n4294967296\n\n==> {root}/pp_dpm_sclk <==\n{levels}"
    cat = f"$ cat {root}/mem_info_vram_total\n4294967296\nme@here:~$ cat {root}/pp_dpm_sclk\n{levels}"
    for text in (head, cat):
        (device,) = read(text, "sysfs of amdgpu").devices
        assert (device.key, told(device)) == (
            "AMD-1",
            {"memory_total": 4 << 30, "clock": 1.2e9, "clock_max": 1.2e9},
        )
    grep = f"{root}/mem_info_vram_total:4294967296\ncat: {root}/gpu_busy_percent: Permission denied\n"
    (device,) = read(grep).devices
    assert told(device) == {"memory_total": 4 << 30, "utilization": Reason.NO_PERMISSION}
    address = "/sys/bus/pci/devices/0000:2d:00.0"
    asleep = f"==> {address}/power/runtime_status <==\nsuspended\n==> {address}/mem_info_vram_total <==\n5\n"
    (device,) = read(asleep).devices
    assert (device.key, told(device)) == (
        "0000:2d:00.0",
        {"memory_total": Reason.UNSUPPORTED, "power_state": "suspended"},
    )


def test_facts_of_parts_and_words() -> None:
    """Lists of APUs, the least memory of a card, names of throttlers and complaints are data."""
    assert [shares_memory(device, None) for device in ("0x1586", "1586", "0x744C", "", "what")] == [
        True, True, None, None, None,
    ]  # fmt: skip
    assert [shares_memory("", size) for size in (512 << 20, 4 << 30, 0, None)] == [True, None, None, None]
    assert [throttle_word(name) for name in ("PPT2", "TEMP_MEM", "TEMP_EDGE", "TDC_GFX", "moon")] == [
        "power limit", "memory temperature", "temperature", "current limit", "moon",
    ]  # fmt: skip
    assert complaint("all is well", "amd-smi") is None


def test_generations_are_derived_of_rates() -> None:
    """The rate is what is told; the generation follows from it and is marked so."""
    (device,) = read(json.dumps([smi(pcie={"speed": {"value": 32, "unit": "GT/s"}, "width": 16})])).devices
    reading = device["pcie_generation"]
    assert isinstance(reading, Value)
    assert (reading.value, reading.basis) == (5, Basis.DERIVED)


SEEDS = (
    json.dumps([smi(power={"socket_power": {"value": 35, "unit": "W"}}, process_list=[{"pid": 1}])]),
    json.dumps(
        {"card0": {"GPU use (%)": "12", "pcie clock level": "1 (8.0GT/s x4)"}, "system": {"PID1": "x"}}
    ),
    "device,GPU use (%),VRAM Total Memory (B)\ncard0,1,5\n",
    HUMAN,
    TABLE,
    NEW,
    MONITOR,
    COMMAS,
    "GPU[0]\t\t: VRAM Total Memory (B): 8,589,934,592 (~8 GiB)\n",
    (
        "==> /sys/class/drm/card0/device/mem_info_vram_total <==\n5\n"
        "cat: '/sys/class/drm/card*/device/gpu_busy_percent': No such file or directory\n"
    ),
    "WARNING: No JSON data to report\n",
    json.dumps(
        {
            "devices": [
                {"Info": {"amdgpu_top_version": {}}, "Sensors": {"Fan": 1}, "VRAM": [], "fdinfo": {"1": {}}}
            ]
        }
    ),
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["N/A", "5 W", "1e99", "ACTIVE"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "value",
                    "unit",
                    "gpu",
                    "power",
                    "socket_power",
                    "mem_usage",
                    "total_vram",
                    "clock",
                    "gfx_0",
                    "sys",
                    "frequency_levels",
                    "current level",
                    "process_list",
                    "process_info",
                    "pid",
                    "throttle",
                    "fan",
                    "speed",
                    "max",
                    "bus",
                    "bdf",
                    "asic",
                    "Sensors",
                    "Fan",
                    "Info",
                    "VRAM",
                    "fdinfo",
                    "usage",
                    "gpu_metrics",
                    "Throttle Status",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.mark.requirement("NFR-BAD-INPUT")
@given(st.sampled_from(SEEDS), st.data())
def test_no_damage_ends_a_reader(seed: str, data: st.DataObject) -> None:
    """Cut, doubled and overwritten texts are read or not, by every reader; none raises."""
    at = data.draw(st.integers(0, len(seed)))
    until = data.draw(st.integers(at, len(seed)))
    put = data.draw(
        st.text(max_size=5) | st.sampled_from(["[", "{", "9" * 400, "\n", "N/A", "-", ":", ",", "²"])
    )
    damaged = seed[:at] + put + data.draw(st.sampled_from([seed[until:], seed[at:], ""]))
    for each in FORMATS:
        each.recognises(damaged)
        each.read(damaged)


@pytest.mark.requirement("NFR-BAD-INPUT")
@given(JSON_VALUES, st.sampled_from(["smi", "rocm", "top", "bare"]))
def test_no_json_ends_a_reader(value: Any, where: str) -> None:
    """Whatever stands in a field, at any depth, the reader answers; figures are ones that can be."""
    inner = value if isinstance(value, dict) else {"power": value, "GPU use (%)": value, "Sensors": value}
    document = {
        "smi": {"gpu_data": [{**inner, "gpu": 0}]}, "rocm": {"card0": inner, "system": inner},
        "top": {"devices": [{**inner, "Info": {**inner, "amdgpu_top_version": {}}}]}, "bare": value,
    }[where]  # fmt: skip
    text = json.dumps(document)
    for each in FORMATS:
        each.recognises(text)
        for device in each.read(text).devices:
            for reading in device.readings.values():
                assert isinstance(reading, Value | Absent)
                if isinstance(reading, Value) and isinstance(reading.value, int | float):
                    assert -60 <= reading.value <= 1e18
