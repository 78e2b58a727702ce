"""amdgpu through the kernel alone."""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from hwledger.telemetry import system as kernel
from hwledger.telemetry.amd.amdgpu import AmdgpuSampler, with_sizes
from hwledger.telemetry.collector import Collector
from hwledger.telemetry.document import snapshot_document
from hwledger.telemetry.drm import clients
from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Reason, Value
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.samplers import installed_samplers
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample
from hwledger.telemetry.system import System
from support.kernel import CLIENT, card, machine, process, written
from support.kernel import RADEON as FULL

pytestmark = pytest.mark.requirement("FR-TEL-AMD")


def only(system: System, ids: Path = Path("/no/such/list"), *, processes: bool = False) -> DeviceSnapshot:
    """Return the one device of a machine."""
    (device,) = AmdgpuSampler(system, ids).sample(processes=processes).devices
    return device


def value(device: DeviceSnapshot, name: str) -> object:
    """Return a value, or the reason why there is none."""
    reading = device[name]
    return reading.value if isinstance(reading, Value) else str(reading.reason)


def test_a_card_is_told_without_any_tool(tmp_path: Path) -> None:
    """Every figure comes from its file, in base units, under the card's PCI address."""
    card(tmp_path, 0, FULL)
    written(tmp_path, {"sys/module/amdgpu/version": "6.10.5\n"})
    device = only(machine(tmp_path))
    told = {
        str(name): reading.value for name, reading in device.readings.items() if isinstance(reading, Value)
    }
    assert (device.key, device.name, device.vendor, device.kind) == (
        "0000:03:00.0", "Radeon RX 7900 XTX", "AMD", "gpu",
    )  # fmt: skip
    assert told == {
        "memory_total": 25753026560, "memory_used": 1048576000, "shared_memory_total": 33533788160,
        "shared_memory_used": 88080384, "utilization": 0.97, "memory_activity": pytest.approx(0.41),
        "temperature": 51.0,
        "temperature_hotspot": 68.0, "temperature_memory": 74.0, "power": pytest.approx(291.0),
        "power_limit": pytest.approx(303.0), "fan": pytest.approx(0.4), "clock": 2.371e9,
        "clock_max": 2.482e9, "clock_memory": 1.249e9, "clock_memory_max": 1.249e9, "pcie_generation": 4,
        "pcie_generation_max": 5, "pcie_width": 16, "pcie_width_max": 16, "performance_state": "auto",
        "errors_uncorrected": 2, "driver": "6.10.5", "power_state": "active",
    }  # fmt: skip


def test_it_declares_what_it_tells(tmp_path: Path) -> None:
    """What a whole card and an APU tell together is what is declared, no more and no less."""
    card(tmp_path, 0, FULL)
    card(tmp_path, 1, {**FULL, "device": "0x1586\n"}, "0000:c5:00.0")
    written(tmp_path, {"sys/module/amdgpu/version": "6.10.5\n"})
    sampler = AmdgpuSampler(machine(tmp_path))
    assert isinstance(sampler, Sampler)
    devices = sampler.sample(processes=False).devices
    told = {name for each in devices for name, value in each.readings.items() if isinstance(value, Value)}
    assert told == sampler.coverage.gives


class Watched(System):
    """A machine that keeps which files were read."""

    def read(self, path: Path) -> str | Absent:
        """Return the text, and keep the path."""
        READ.append(path)
        return System.read(self, path)


READ: list[Path] = []


@pytest.mark.parametrize("status", ["suspended", "suspending"])
def test_a_card_that_sleeps_is_not_woken(status: str, tmp_path: Path) -> None:
    """Only identity and runtime status are read; power state is told, the rest is unsupported: suspended."""
    folder = card(tmp_path, 0, {**FULL, "power/runtime_status": f"{status}\n"})
    known = machine(tmp_path)
    READ.clear()
    device = only(Watched(sysfs=known.sysfs, procfs=known.procfs, platform="linux"), processes=True)
    below = {str(path.relative_to(folder)) for path in READ if path.is_relative_to(folder)}
    assert below <= {"uevent", "vendor", "device", "revision", "power/runtime_status"}
    assert value(device, "power_state") == status
    rest = {name: each for name, each in device.readings.items() if name is not Quantity.POWER_STATE}
    assert Quantity.MEMORY_USED in rest
    assert Quantity.UTILIZATION in rest
    for reading in rest.values():
        assert isinstance(reading, Absent)
        assert reading.reason is Reason.UNSUPPORTED
        assert reading.detail.startswith("suspended")


def test_it_is_asked_again_when_it_wakes(tmp_path: Path) -> None:
    """Sleep is looked at each time, and what a card told before does not stay."""
    folder = card(tmp_path, 0, FULL)
    sampler = AmdgpuSampler(machine(tmp_path))
    seen = []
    for status in ("active", "suspended", "active"):
        (folder / "power" / "runtime_status").write_text(status)
        (device,) = sampler.sample(processes=False).devices
        seen.append(value(device, "utilization"))
    assert seen == [0.97, "unsupported", 0.97]


def test_sizes_of_a_card_that_sleeps_are_known_for_a_plan(tmp_path: Path) -> None:
    """The two sizes are read, which wakes nobody; nothing else becomes known."""
    card(tmp_path, 0, {**FULL, "power/runtime_status": "suspended\n"})
    system = machine(tmp_path)
    device = with_sizes(system, only(system))
    assert (value(device, "memory_total"), value(device, "memory_used")) == (25753026560, "unsupported")


@pytest.mark.parametrize(
    ("carved", "mapped", "host", "usable"),
    [
        (8 << 30, 133_143_986_176, 120 << 30, 120 << 30),
        (512 << 20, 96 << 30, 125 << 30, 96 << 30),
        (96 << 30, 15 << 30, 31 << 30, 96 << 30),
    ],
)
def test_an_apu_never_has_more_than_the_host(
    carved: int, mapped: int, host: int, usable: int, tmp_path: Path
) -> None:
    """Carve-out and mappable memory are told apart; usable is the larger, within the host's memory."""
    files = {"mem_info_vram_total": str(carved), "mem_info_gtt_total": str(mapped), "device": "0x1586"}
    card(tmp_path, 0, files)
    written(tmp_path, {"proc/meminfo": f"MemTotal:       {host >> 10} kB\nMemFree: 1 kB\n"})
    device = only(machine(tmp_path))
    assert (device.kind, device.unified, len(device.notes)) == ("apu", True, 1)
    assert [value(device, name) for name in ("memory_total", "shared_memory_total", "memory_usable")] == [
        carved, mapped, usable,
    ]  # fmt: skip
    reading = device["memory_usable"]
    assert isinstance(reading, Value)
    assert reading.basis is Basis.DERIVED


@pytest.mark.parametrize(
    ("header", "shares"),
    [
        (b"\x78\x00\x02\x01", True),
        (b"\x80\x00\x03\x00", True),
        (b"\x78\x00\x01\x03", None),
        (b"\x78", None),
        (b"", None),
    ],
)
def test_the_format_of_its_metrics_tells_an_apu_that_no_list_knows(
    header: bytes, shares: object, tmp_path: Path
) -> None:
    """Formats 2 and 3 of gpu_metrics are APUs', whatever their PCI device."""
    card(
        tmp_path,
        0,
        {**FULL, "device": "0xffee", "gpu_metrics": header + b"\xff" * 8 if len(header) > 1 else header},
    )
    assert only(machine(tmp_path)).unified is shares


def test_a_kernel_without_memory_files_says_so(tmp_path: Path) -> None:
    """Before Linux 5.1 memory is unsupported, with the file named, and never zero."""
    card(tmp_path, 0, {name: text for name, text in FULL.items() if not name.startswith("mem_info")})
    reading = only(machine(tmp_path))["memory_total"]
    assert isinstance(reading, Absent)
    assert (reading.reason, "mem_info_vram_total" in reading.detail) == (Reason.UNSUPPORTED, True)
    (joined,) = merged_devices([AmdgpuSampler(machine(tmp_path)).sample(processes=False)])
    assert isinstance(joined["memory_free"], Absent)


def test_a_limit_of_shared_memory_is_no_measure_of_the_host(tmp_path: Path) -> None:
    """GTT as large as VRAM is a limit that the driver set (RX 570); the figures stay, with a note."""
    card(tmp_path, 0, {"mem_info_vram_total": "4294967296", "mem_info_gtt_total": "4294967296"})
    device = only(machine(tmp_path))
    assert value(device, "shared_memory_total") == 4294967296
    assert "same size" in device.notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", Reason.UNPARSED), ("banana", Reason.UNPARSED), ("-99999999999", Reason.UNPARSED),
     ("1e999", Reason.UNPARSED), ("9" * 300, Reason.UNPARSED), ("nan", Reason.UNPARSED),
     ("\x00\x01", Reason.UNPARSED), ("N/A", Reason.UNSUPPORTED)],
)  # fmt: skip
def test_nonsense_in_a_file_is_no_value(text: str, reason: Reason, tmp_path: Path) -> None:
    """Whatever a file holds, a value is a number that can be or a reason."""
    card(tmp_path, 0, dict.fromkeys(FULL, text))
    device = only(machine(tmp_path))
    for name in ("memory_total", "utilization", "temperature", "power", "pcie_width"):
        reading = device[name]
        assert isinstance(reading, Absent), name
        assert reading.reason is reason, name


def test_no_power_is_no_sensor(tmp_path: Path) -> None:
    """0 W of a part that answers is no reading; a sensor that is not there is named so."""
    card(tmp_path, 0, {**FULL, "hwmon/hwmon5/power1_average": "0\n", "hwmon/hwmon5/fan1_input": "0\n"})
    card(tmp_path, 1, {"gpu_busy_percent": "0"}, "0000:04:00.0")
    with_zero, bare = AmdgpuSampler(machine(tmp_path)).sample(processes=False).devices
    assert (value(with_zero, "power"), value(with_zero, "fan")) == ("unsupported", 0.0)
    assert (value(bare, "power"), value(bare, "temperature"), value(bare, "utilization")) == (
        "unsupported", "unsupported", 0.0,
    )  # fmt: skip


def test_names_come_from_the_list_that_libdrm_installs(tmp_path: Path) -> None:
    """By device and revision, where the driver knows none; a broken list is no list."""
    files = {name: text for name, text in FULL.items() if name != "product_name"}
    card(tmp_path, 0, files)
    ids = tmp_path / "amdgpu.ids"
    ids.write_text("# List\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\nzz,\nnonsense\n", "utf-8")
    assert only(machine(tmp_path), ids).name == "AMD Radeon RX 7900 XTX"
    assert only(machine(tmp_path)).name == ""


def test_cards_of_other_drivers_are_not_touched(tmp_path: Path) -> None:
    """A card of i915, a connector and a card without a device are not amdgpu's."""
    card(tmp_path, 0, FULL, driver="i915")
    written(
        tmp_path / "sys" / "class" / "drm", {"card0-DP-1/status": "connected", "renderD128/dev": "226:128"}
    )
    sampler = AmdgpuSampler(machine(tmp_path))
    assert not sampler.check().works
    assert sampler.sample(processes=True).failure is not None


def test_a_driver_is_found_by_links_where_no_event_names_it(tmp_path: Path) -> None:
    """The names of what ``device`` and ``driver`` lead to are address and driver."""
    device = written(tmp_path / "sys" / "devices" / "0000:2d:00.0", {"mem_info_vram_total": "8573157376"})
    (tmp_path / "sys" / "drivers" / "amdgpu").mkdir(parents=True)
    (device / "driver").symlink_to(tmp_path / "sys" / "drivers" / "amdgpu")
    folder = tmp_path / "sys" / "class" / "drm" / "card1"
    folder.mkdir(parents=True)
    (folder / "device").symlink_to(device)
    assert only(machine(tmp_path)).key == "0000:2d:00.0"


def test_checks_say_how_many_cards_sleep(tmp_path: Path) -> None:
    """The check names cards and sleepers; elsewhere than on Linux it has nothing to do."""
    card(tmp_path, 0, FULL)
    card(tmp_path, 1, {"power/runtime_status": "suspended"}, "0000:04:00.0")
    check = AmdgpuSampler(machine(tmp_path)).check()
    assert (check.works, check.found) == (True, "2 cards, 1 suspended")
    assert not AmdgpuSampler(System(sysfs=tmp_path / "sys", platform="darwin")).check().works


def test_processes_are_listed_with_both_memories(tmp_path: Path) -> None:
    """A process has the device's memory and the host's that is mapped for it, apart."""
    card(tmp_path, 0, FULL)
    told = CLIENT.format(
        driver="amdgpu", address="0000:03:00.0", number=7,
        rest="drm-memory-vram:\t2048 KiB\ndrm-memory-gtt:\t1024 KiB\ndrm-engine-gfx:\t99 ns\n",
    )  # fmt: skip
    process(tmp_path, 4242, "llama-server", {3: ("/dev/null", ""), 5: ("/dev/dri/renderD128", told)})
    device = only(machine(tmp_path), processes=True)
    assert not isinstance(device.processes, Absent)
    (one,) = device.processes
    assert (one.pid, one.name, one.kind) == (4242, "llama-server", "graphics")
    assert isinstance(one.memory, Value)
    assert isinstance(one.shared_memory, Value)
    assert (one.memory.value, one.shared_memory.value) == (2 << 20, 1 << 20)
    assert isinstance(only(machine(tmp_path)).processes, Absent)


KFD = {
    "topology/nodes/0/gpu_id": "0\n", "topology/nodes/0/properties": "cpu_cores_count 16\nlocation_id 0\n",
    "topology/nodes/1/gpu_id": "51032\n",
    "topology/nodes/1/properties": "simd_count 192\nlocation_id 768\ndomain 0\ndrm_render_minor 128\n",
    "proc/700/vram_51032": "21474836480\n", "proc/700/sdma_51032": "12\n",
    "proc/4242/vram_51032": "1073741824\n", "proc/900/vram_51032": "what\n", "proc/901/vram_1": "5\n",
}  # fmt: skip


def test_what_other_users_compute_is_known_from_kfd(tmp_path: Path) -> None:
    """KFD lists every process of ROCm to everybody; the larger of its figure and fdinfo's counts."""
    card(tmp_path, 0, FULL)
    written(tmp_path / "sys" / "class" / "kfd" / "kfd", KFD)
    written(tmp_path, {"proc/700/comm": "vllm\n"})
    told = CLIENT.format(
        driver="amdgpu", address="0000:03:00.0", number=7, rest="drm-memory-vram: 4096 KiB\n"
    )
    process(tmp_path, 4242, "python3", {5: ("/dev/dri/renderD128", told)})
    device = only(machine(tmp_path), processes=True)
    assert not isinstance(device.processes, Absent)
    told_of = {
        each.pid: (
            each.name,
            each.kind,
            each.memory.value if isinstance(each.memory, Value) else each.memory.reason,
        )
        for each in device.processes
    }
    assert told_of == {
        4242: ("python3", "compute", 1 << 30),
        700: ("vllm", "compute", 20 << 30),
        900: ("", "compute", Reason.UNPARSED),
    }


def test_what_other_users_hold_is_said_to_be_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that may be seen, and some that may not: no permission, never an empty list."""
    card(tmp_path, 0, FULL)
    told = CLIENT.format(
        driver="amdgpu", address="0000:03:00.0", number=7, rest="drm-memory-vram: 4096 KiB\n"
    )
    process(tmp_path, 4242, "python3", {5: ("/dev/dri/renderD128", told)})
    process(tmp_path, 1, "init", {5: ("/dev/dri/renderD128", told)})
    opened = clients._opened

    def refused(folder: Path) -> Iterator[str]:
        if folder.parent.name in forbidden:
            raise PermissionError
        return opened(folder)

    monkeypatch.setattr(clients, "_opened", refused)
    forbidden = {"1"}
    device = only(machine(tmp_path), processes=True)
    assert not isinstance(device.processes, Absent)
    assert [each.pid for each in device.processes] == [4242]
    assert clients.HIDDEN_NOTE in device.notes
    forbidden = {"1", "4242"}
    held = only(machine(tmp_path), processes=True).processes
    assert isinstance(held, Absent)
    assert held.reason is Reason.NO_PERMISSION


def test_a_card_that_falls_off_its_bus_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel answers "no such device" for every file: lost, not unsupported, and no value stays."""
    card(tmp_path, 0, FULL)
    sampler = AmdgpuSampler(machine(tmp_path))
    sampler.sample(processes=False)
    content = kernel._content

    def gone(path: Path) -> bytes:
        if path.parent.name.startswith("hwmon") or path.name.startswith(("mem_info", "gpu_busy")):
            raise OSError(errno.ENODEV, "No such device")
        return content(path)

    def no_device(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(kernel, "_content", gone)
    monkeypatch.setattr(os, "pread", no_device)
    (device,) = sampler.sample(processes=False).devices
    for name in ("memory_used", "utilization", "power", "temperature"):
        reading = device[name]
        assert isinstance(reading, Absent)
        assert reading.reason is Reason.LOST_DEVICE


def test_cards_and_sensors_that_come_later_are_found(tmp_path: Path) -> None:
    """Which cards there are, and how their sensors are numbered, is looked at every 10 s."""
    clock = [0.0]
    folder = card(tmp_path, 0, FULL)
    sampler = AmdgpuSampler(replace(machine(tmp_path), clock=lambda: clock[0]))
    sampler.sample(processes=False)
    (folder / "hwmon" / "hwmon5").rename(folder / "hwmon" / "hwmon7")
    card(tmp_path, 1, FULL, "0000:04:00.0")
    clock[0] = 11.0
    first, second = sampler.sample(processes=False).devices
    assert (value(first, "temperature"), second.key) == (51.0, "0000:04:00.0")


def test_the_sources_of_amd_are_one_device(tmp_path: Path) -> None:
    """Amdgpu and a tool that knows the PCI address are merged; what one lacks the other tells."""
    card(tmp_path, 0, FULL)
    tool = read_recorded(
        '[{"gpu": 0, "bus": {"bdf": "0000:03:00.0"}, "throttle": {"ppt_violation_status": "ACTIVE"}}]'
    )[1]
    with Collector([AmdgpuSampler(machine(tmp_path))]) as collector:
        assert collector.wait()
        samples = [Sample(devices=collector.snapshot().devices), tool]
    (device,) = merged_devices(samples)
    assert (value(device, "throttle"), value(device, "memory_free")) == (
        ("power limit",),
        25753026560 - 1048576000,
    )


def test_what_a_shared_part_can_use_follows_from_both_pools() -> None:
    """Of a source that does not know the host, the larger pool is what is usable, never the sum."""
    apu = {"gpu": 0, "asic": {"device_id": "0x1586"}, "mem_usage": {"total_vram": 512, "total_gtt": 98304}}
    card_of_its_own = {"gpu": 1, "mem_usage": {"total_vram": 8176, "total_gtt": 64357}}
    sample = read_recorded(json.dumps([apu, card_of_its_own]))[1]
    assert [value(device, "memory_usable") for device in merged_devices([sample])] == [96 << 30, 8176 << 20]


def test_amd_sources_are_believed_in_the_order_of_what_they_know() -> None:
    """The library, then the kernel's own bytes, then tools that read those every 15 s in whole MiB."""
    names = [each.name for each in installed_samplers() if each.vendor == "AMD"]
    assert names == ["amdsmi", "amdgpu", "amd-smi", "rocm-smi"]


def test_both_memories_of_a_process_follow_the_schema(tmp_path: Path) -> None:
    """What amdgpu tells of a card and its processes is a document of the published schema."""
    card(tmp_path, 0, FULL)
    rest = "drm-memory-vram: 4 KiB\ndrm-memory-gtt: 9 KiB\n"
    told = CLIENT.format(driver="amdgpu", address="0000:03:00.0", number=7, rest=rest)
    process(tmp_path, 4242, "python3", {5: ("/dev/dri/renderD128", told)})
    with Collector([AmdgpuSampler(machine(tmp_path))]) as collector:
        assert collector.wait()
        document = snapshot_document(collector.snapshot())
    schema = json.loads(files("hwledger.telemetry").joinpath("schemas", "probe-1.json").read_text("utf-8"))
    jsonschema.validate(document, schema)
    (listed,) = document["devices"][0]["processes"]
    assert listed["shared_memory"]["value"] == 9 << 10
    listed["shared_memory"]["value"] = {"no": "number"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
