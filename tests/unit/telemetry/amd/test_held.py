"""AMD's cards between looks: files that stay open, values by their pace, cards that go, sleep and come."""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hwledger.telemetry.amd.amdgpu import AmdgpuSampler
from hwledger.telemetry.amd.held import LASTING_SECONDS, SLOW_SECONDS
from hwledger.telemetry.reading import Absent, Reason, Value
from hwledger.telemetry.snapshot import DeviceSnapshot
from support.kernel import RADEON as FULL
from support.kernel import card, machine, written

pytestmark = [
    pytest.mark.requirement("FR-TEL-AMD"),
    pytest.mark.requirement("NFR-TEL-CALM"),
    pytest.mark.skipif(not hasattr(os, "pread"), reason="nothing is kept open where pread is lacking"),
]


class Watch:
    """A sampler on a machine whose time passes when the test says so."""

    def __init__(self, root: Path) -> None:
        self.at = 1000.0
        self.sampler = AmdgpuSampler(replace(machine(root), clock=lambda: self.at), root / "no list of names")

    def after(self, seconds: float) -> tuple[DeviceSnapshot, ...]:
        """Return the devices of a look that many seconds later."""
        self.at += seconds
        return self.sampler.sample(processes=False).devices


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """One card that was looked at once."""
    card(tmp_path, 0, FULL)
    watch = Watch(tmp_path)
    watch.after(0)
    yield watch
    watch.sampler.close()


def told(device: DeviceSnapshot, name: str) -> tuple[object, float]:
    """Return a value and its moment; the reason where there is none."""
    reading = device[name]
    return (reading.value, reading.at) if isinstance(reading, Value) else (str(reading.reason), 0.0)


def opened(root: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    with os.scandir("/proc/self/fd") as links:
        targets = [os.path.realpath(each) for each in links]
    return sorted(each for each in targets if each.startswith(f"{root}/"))


def unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file that is open answer as the kernel does of a device that went."""

    def no_device(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(os, "pread", no_device)


def test_each_kind_of_value_has_its_own_age(tmp_path: Path, watch: Watch) -> None:
    """What moves is read at each look; fan, link and limit every few seconds; sizes every minute."""
    folder = tmp_path / "sys" / "class" / "drm" / "card0" / "device"
    written(folder, {
        "mem_info_vram_used": "7", "hwmon/hwmon5/fan1_input": "330", "mem_info_vram_total": "9000000000",
        "hwmon/hwmon5/temp2_input": "70000",
    })  # fmt: skip
    seen = []
    for seconds in (1.0, SLOW_SECONDS, LASTING_SECONDS):
        (device,) = watch.after(seconds)
        seen.append(
            [told(device, name) for name in ("memory_used", "temperature_hotspot", "fan", "memory_total")]
        )
    first, slow, last = 1001.0, 1001.0 + SLOW_SECONDS, 1001.0 + SLOW_SECONDS + LASTING_SECONDS
    assert seen == [
        [(7, first), (70.0, first), (0.4, 1000.0), (25753026560, 1000.0)],
        [(7, slow), (70.0, slow), (0.1, slow), (25753026560, 1000.0)],
        [(7, last), (70.0, last), (0.1, last), (9000000000, last)],
    ]


def test_cards_take_turns(tmp_path: Path) -> None:
    """Of eight cards at 1 Hz no look reads the slow values of all, and none becomes older than is said."""
    for number in range(8):
        card(tmp_path, number, FULL, f"0000:{number + 3:02x}:00.0")
    watch = Watch(tmp_path)
    watch.after(0)
    for _ in range(90):
        devices = watch.after(1)
        at = [told(device, "fan")[1] for device in devices]
        assert at.count(watch.at) <= 2
        assert watch.at - min(at) < SLOW_SECONDS + 1
        assert watch.at - min(told(device, "memory_total")[1] for device in devices) < LASTING_SECONDS + 1
    watch.sampler.close()


def test_files_are_opened_once_and_closed_at_the_end(tmp_path: Path, watch: Watch) -> None:
    """A hundred looks over an hour hold the files of the first, each once; closed, nothing."""
    held = opened(tmp_path)
    assert len(held) == len(set(held)) > 10
    for _ in range(100):
        watch.after(36)
    assert opened(tmp_path) == held
    watch.sampler.close()
    assert opened(tmp_path) == []
    assert told(watch.after(1)[0], "utilization") == (0.97, watch.at)


def test_a_card_that_vanishes_is_lost_for_a_minute(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the very next look every value is lost, under its name; a minute later it is no longer shown."""
    card(tmp_path, 1, FULL, "0000:04:00.0")
    assert len(watch.after(11)) == 2
    shutil.rmtree(tmp_path / "sys" / "class" / "drm" / "card1")
    unplugged(monkeypatch)
    first, gone = watch.after(1)
    assert (told(first, "utilization")[0], gone.key, gone.name) == (
        0.97,
        "0000:04:00.0",
        "Radeon RX 7900 XTX",
    )
    assert all(
        isinstance(each, Absent) and each.reason is Reason.LOST_DEVICE for each in gone.readings.values()
    )
    assert set(gone.readings) == watch.sampler.coverage.gives
    assert isinstance(gone.processes, Absent)
    monkeypatch.undo()
    assert "0000:04:00.0" in watch.sampler.sample(processes=True).troubles[0]
    assert not any("card1" in path for path in opened(tmp_path))
    assert len(watch.after(LASTING_SECONDS + 11)) == 1
    card(tmp_path, 1, FULL, "0000:04:00.0")
    assert told(watch.after(11)[1], "utilization")[0] == 0.97


def test_the_last_card_that_vanishes_is_lost_too(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no card left the source says so, and shows the one that it knew."""
    shutil.rmtree(tmp_path / "sys" / "class" / "drm" / "card0")
    unplugged(monkeypatch)
    sample = watch.sampler.sample(processes=True)
    assert sample.failure is not None
    assert [told(device, "power")[0] for device in sample.devices] == ["lost device"]
    assert opened(tmp_path) == []


def test_a_driver_that_is_loaded_anew_is_read_at_once(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are new ones and its sensors have other numbers: the same look finds both."""
    hwmon = tmp_path / "sys" / "class" / "drm" / "card0" / "device" / "hwmon"
    (hwmon / "hwmon5").rename(hwmon / "hwmon7")
    written(hwmon / "hwmon7", {"temp1_input": "44000"})
    unplugged(monkeypatch)
    (device,) = watch.after(1)
    assert told(device, "temperature") == (44.0, watch.at)
    assert any("hwmon7" in path for path in opened(tmp_path))
    assert not any("hwmon5" in path for path in opened(tmp_path))


def test_another_card_in_the_same_place_is_another(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the card before is not said of the one that came."""
    card(tmp_path, 0, {**FULL, "device": "0x1586\n", "product_name": "Radeon 8060S\n", "unique_id": "0\n"})
    unplugged(monkeypatch)
    (device,) = watch.after(1)
    assert (device.name, device.uuid, device.kind) == ("Radeon 8060S", "", "apu")


def test_a_card_that_suspends_between_looks_is_left_alone(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are closed, only its status is read, and awake again everything is read anew."""
    folder = tmp_path / "sys" / "class" / "drm" / "card0" / "device"
    asked: list[Path] = []
    pread = os.pread

    def noted(handle: int, size: int, offset: int) -> bytes:
        asked.append(Path(f"/proc/self/fd/{handle}").readlink())
        return pread(handle, size, offset)

    monkeypatch.setattr(os, "pread", noted)
    status = folder / "power" / "runtime_status"
    status.write_text("suspended\n", "utf-8")
    for _ in range(3):
        (device,) = watch.after(1)
        assert (told(device, "power_state")[0], device.name) == ("suspended", "Radeon RX 7900 XTX")
        reading = device["fan"]
        assert isinstance(reading, Absent)
        assert reading.detail.startswith("suspended")
    assert set(asked) == {status}
    assert opened(tmp_path) == [str(status)]
    status.write_text("active\n", "utf-8")
    written(folder, {"hwmon/hwmon5/fan1_input": "330", "mem_info_vram_total": "9000000000"})
    (device,) = watch.after(1)
    assert [told(device, name) for name in ("fan", "memory_total")] == [
        (0.1, watch.at),
        (9000000000, watch.at),
    ]


def test_no_descriptor_is_left_of_cards_that_come_and_go(tmp_path: Path, watch: Watch) -> None:
    """Two hundred times a card comes, suspends, wakes and goes: the files of the first card stay, no more."""
    held = opened(tmp_path)
    for _ in range(200):
        folder = card(tmp_path, 1, FULL, "0000:04:00.0")
        for status in ("active", "suspended", "active"):
            (folder / "power" / "runtime_status").write_text(status, "utf-8")
            watch.after(11)
        shutil.rmtree(folder.parent)
        watch.after(11)
    assert opened(tmp_path) == held


def test_a_file_that_appears_is_found_with_what_lasts(tmp_path: Path, watch: Watch) -> None:
    """What was not there is looked for every minute, not at each look."""
    other = card(tmp_path, 2, {}, "0000:05:00.0")
    assert told(watch.after(11)[1], "memory_activity")[0] == "unsupported"
    written(other, {"mem_busy_percent": "41"})
    assert told(watch.after(1)[1], "memory_activity")[0] == "unsupported"
    assert told(watch.after(LASTING_SECONDS)[1], "memory_activity")[0] == pytest.approx(0.41)
