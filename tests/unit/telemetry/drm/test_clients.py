"""Which processes use which device, by trees as the kernel's."""

from pathlib import Path

import pytest

from hwledger.telemetry.drm.cards import cards
from hwledger.telemetry.drm.clients import clients, processes_on
from hwledger.telemetry.reading import Absent, Value
from support.kernel import CLIENT, card, machine, process, written

pytestmark = pytest.mark.requirement("FR-TEL-FDINFO")


def fdinfo(number: int, kib: int, driver: str = "i915", address: str = "0000:00:02.0") -> str:
    """Return the text of one client."""
    rest = f"drm-resident-system: {kib} KiB\n"
    return "pos:\t0\nflags:\t02\n" + CLIENT.format(driver=driver, address=address, number=number, rest=rest)


def test_clients_are_found_by_where_their_files_lead(tmp_path: Path) -> None:
    """Only files that lead to a graphics device or an NPU are read, each client once, with its process."""
    process(tmp_path, 10, "firefox", {
        0: ("/dev/null", "drm-driver: i915\n"),
        4: ("/dev/dri/renderD128", fdinfo(1, 100)),
        5: ("/dev/dri/renderD128", fdinfo(1, 100)),
        6: ("/dev/dri/card0", fdinfo(2, 30)),
        7: ("/dev/accel/accel0", fdinfo(9, 5, "amdxdna_accel_driver", "0000:c5:00.1")),
        8: ("/dev/dri/renderD129", "pos: 0\n"),
    })  # fmt: skip
    process(tmp_path, 11, "child", {4: ("/dev/dri/renderD128", fdinfo(1, 100))})
    written(tmp_path, {"proc/12/comm": "no files\n", "proc/meminfo": "x", "proc/self": "x"})
    found = clients(machine(tmp_path))
    listed = processes_on(found, "0000:00:02.0")
    assert not isinstance(listed, Absent)
    assert [
        (each.pid, each.name, isinstance(each.memory, Value) and each.memory.value) for each in listed
    ] == [(10, "firefox", 130 << 10)]
    assert len(found.on("0000:c5:00.1")) == 1
    assert processes_on(found, "0000:09:00.0") == ()
    assert not found.hidden


def test_processes_that_end_meanwhile_are_passed_over(tmp_path: Path) -> None:
    """A file or folder that is gone is no error."""
    folder = process(tmp_path, 10, "short", {4: ("/dev/dri/renderD128", fdinfo(1, 100))})
    (folder / "fdinfo" / "4").unlink()
    assert clients(machine(tmp_path)).clients == ()
    empty = machine(tmp_path / "fdinfo-less" if (tmp_path / "fdinfo-less").mkdir() is None else tmp_path)
    assert clients(empty).clients == ()


def test_cards_are_listed_with_their_driver_in_their_order(tmp_path: Path) -> None:
    """Numbers order as numbers; connectors are no cards; what is not on PCI has a key of its own."""
    card(tmp_path, 10, {}, "0000:0a:00.0", driver="xe")
    card(tmp_path, 2, {"power/runtime_status": "suspended"})
    written(tmp_path / "sys" / "class" / "drm", {
        "card3/device/uevent": "DRIVER=panthor\nOF_NAME=gpu\n", "card2-HDMI-A-1/status": "connected",
        "version": "drm 1.1.0",
    })  # fmt: skip
    found = cards(machine(tmp_path))
    assert [(each.number, each.key, each.driver, each.asleep) for each in found] == [
        (2, "0000:03:00.0", "amdgpu", True),
        (3, "card-3", "panthor", False),
        (10, "0000:0a:00.0", "xe", False),
    ]
    assert [each.number for each in cards(machine(tmp_path), "xe")] == [10]
    assert cards(machine(tmp_path / "proc")) == ()
