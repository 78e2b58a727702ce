"""This machine as far as a plan needs it."""

import re
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hwledger.device.catalogue import devices, find_device
from hwledger.telemetry import machine, system
from hwledger.telemetry.machine import Machine, this_machine
from support.kernel import card as kernel_card
from support.kernel import machine as fake_machine
from support.kernel import written
from support.nvidia import MIB, Driver, card, gb10, mig_card

pytestmark = pytest.mark.requirement("FR-SRC-LOCAL")


def test_without_an_accelerator_the_hosts_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is one device of the memory that the operating system reports."""
    for name in ("_nvidia", "_amd", "_intel", "_apple"):
        monkeypatch.setattr(machine, name, lambda: iter(()))
    found = this_machine()
    assert 0 < found.host_bytes <= psutil.virtual_memory().total
    assert [device.usable_bytes for device in found.devices] == [found.host_bytes]
    assert "no accelerator found" in found.described


def test_a_drivers_memory_wins_over_the_catalogues() -> None:
    """A known name keeps what the catalogue knows, with the memory that the driver reports."""
    known = machine.known_device("NVIDIA GeForce RTX 4090", "NVIDIA", 24 << 30, "NVML")
    assert (known.name, known.usable_bytes, known.usable_basis) == (
        find_device("RTX 4090").name,
        24 << 30,
        "measured",
    )
    unknown = machine.known_device("NVIDIA Something 9000", "NVIDIA", 5 << 30, "NVML")
    assert (unknown.name, unknown.memory_bytes) == ("NVIDIA Something 9000", 5 << 30)
    assert Machine((known, unknown), 1 << 30).described.startswith(
        "RTX 4090, NVIDIA Something 9000 and 1.00 GiB"
    )


@pytest.mark.requirement("FR-TEL-NVML")
def test_nvidias_devices_come_from_their_source(driver: Driver) -> None:
    """Whole devices with their memory: no slice, none that is lost; GB10 has the host's."""
    driver.tells(card(), gb10(), card(3, rules=("fail * 15",)), mig_card())
    found = list(machine._nvidia())
    assert [(device.name, device.usable_bytes, device.usable_basis) for device in found] == [
        (find_device("RTX 4090").name, 24564 * MIB, "measured"),
        (find_device("GB10").name, machine._host_bytes(), "measured"),
        (find_device("H100 SXM").name, 24564 * MIB, "measured"),
    ]
    assert found[1].unified
    assert all(device.source.startswith("NVML") for device in found)
    assert driver.calls("DeviceGetComputeRunningProcesses_v3") == 0
    assert driver.calls("Shutdown") == 1


def gaming(name: str) -> bool:
    """Whether NVIDIA's driver puts GeForce before that name."""
    return re.match(r"[GR]TX \d", name) is not None


def of_several_sizes() -> list[tuple[str, str, int]]:
    """Return devices as drivers call those that are sold with several sizes: name, the catalogue's, bytes."""
    sold = [(d, re.sub(r" \d+GB\b", "", d.name)) for d in devices() if d.vendor == "NVIDIA"]
    named = Counter(base for _, base in sold)
    return [
        (f"NVIDIA {'GeForce ' * gaming(base)}{base}{' GPU' * base.endswith('Laptop')}", d.name, size)
        for d, base in sold if named[base] > 1
        for size in (d.memory_bytes, d.usable_bytes)
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "meant", "total"), of_several_sizes())
def test_of_several_sizes_the_drivers_memory_tells(name: str, meant: str, total: int) -> None:
    """A name without its size is the device of that memory, and its bandwidth is known."""
    found = machine.known_device(name, "NVIDIA", total, "NVML")
    assert (found.name, found.usable_bytes) == (meant, total)
    assert found.bandwidth_bytes_per_second


def test_there_are_devices_of_several_sizes() -> None:
    """The list above holds those that were nameless once."""
    names = {name for name, _, _ in of_several_sizes()}
    assert {"NVIDIA GeForce RTX 4060 Ti", "NVIDIA GeForce GTX 1060", "NVIDIA GeForce RTX 3080 Laptop GPU",
            "NVIDIA GeForce RTX 3080"} <= names  # fmt: skip


@pytest.mark.requirement("FR-DEVICES-MEMORY")
@pytest.mark.parametrize(
    ("limit", "mib"), [("180000", 180000), ("0", None), ("", None), ("999999999", None), ("²", None)]
)
def test_macos_says_how_much_its_gpu_may_wire(
    limit: str, mib: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that was set counts; 0, nothing and nonsense leave the system's own."""
    told = {"machdep.cpu.brand_string": "Apple M2 Ultra", "iogpu.wired_limit_mb": limit}
    monkeypatch.setattr(machine, "_sysctl", told.__getitem__)
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine.platform, "machine", lambda: "arm64")
    memory = psutil.virtual_memory()._replace(total=192 << 30)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: memory)
    known = find_device("M2 Ultra 192GB").usable_bytes
    assert [d.usable_bytes for d in machine._apple()] == [mib << 20 if mib else known]


@pytest.mark.requirement("FR-DEVICES-MEMORY")
@pytest.mark.parametrize(
    ("name", "sizes", "usable"),
    [
        ("AMD Ryzen AI Max+ 395 128GB", (512 << 20, 96 << 30), 96 << 30),
        ("AMD Ryzen AI Max+ 395 128GB", (8 << 30, 133_143_986_176), 133_143_986_176),
        ("Radeon RX 7900 XTX", (25_753_026_560, 32 << 30), 25_753_026_560),
    ],
)
def test_what_a_shared_memory_gpu_may_map_counts(
    name: str, sizes: tuple[int, int], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carve-out and the mappable memory are never added up; a card's own memory is its own."""
    files = {"product_name": name, "mem_info_vram_total": str(sizes[0]), "mem_info_gtt_total": str(sizes[1])}
    kernel_card(tmp_path, 0, files)
    monkeypatch.setattr(system, "System", lambda: fake_machine(tmp_path))
    assert [device.usable_bytes for device in machine._amd()] == [usable]


@pytest.mark.requirement("FR-TEL-AMD")
def test_a_card_that_sleeps_is_planned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is known without waking it; one whose memory is not known is left out."""
    files = {"mem_info_vram_total": str(16 << 30), "power/runtime_status": "suspended"}
    kernel_card(tmp_path, 0, files)
    kernel_card(tmp_path, 1, {}, "0000:04:00.0")
    monkeypatch.setattr(system, "System", lambda: fake_machine(tmp_path))
    assert [(device.name, device.usable_bytes) for device in machine._amd()] == [("AMD GPU", 16 << 30)]


@pytest.mark.requirement("FR-TEL-INTEL")
def test_a_card_of_intels_is_planned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory counts without what is reserved; where that is not told, no more than the catalogue says."""
    size = 12_650_020_864
    card_of = {"device/tile0/physical_vram_size_bytes": str(size)}
    for number, debug in enumerate(("", "use_type: 1\nsize: 12000000000\nusage: 0\nvisible_size: 1\n")):
        card_files = {"vendor": "0x8086", "device": "0xffff"}
        folder = kernel_card(tmp_path, number, card_files, f"0000:0{number + 3}:00.0", "xe").parent
        written(folder, card_of)
        if debug:
            written(tmp_path / "sys" / "kernel" / "debug" / "dri", {f"{number}/vram0_mm": debug})
    monkeypatch.setattr(system, "System", lambda: fake_machine(tmp_path))
    assert [(each.name, each.usable_bytes) for each in machine._intel()] == [
        ("Intel GPU", size),
        ("Intel GPU", 12_000_000_000),
    ]
    known = machine._intel_card("Arc B580", size, None)
    assert known.usable_bytes <= find_device("Arc B580").usable_bytes
    assert known.name == "Arc B580"
