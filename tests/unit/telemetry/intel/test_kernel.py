"""i915 and xe through the kernel alone."""

from pathlib import Path

import pytest

from hwledger.telemetry.coverage import Setting
from hwledger.telemetry.drm import clients
from hwledger.telemetry.intel.kernel import FIRST_LOOK_S, IntelSampler
from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import DeviceSnapshot
from hwledger.telemetry.system import System
from support.kernel import CLIENT, card, machine, process, written
from support.samplers import Clock

pytestmark = pytest.mark.requirement("FR-TEL-INTEL")

IDENTITY = {"vendor": "0x8086\n", "device": "0xe20b\n", "revision": "0x00\n"}
FREQ = "tile0/gt0/freq0"
XE = {
    **IDENTITY, f"{FREQ}/act_freq": "2400\n", f"{FREQ}/rp0_freq": "2850\n", f"{FREQ}/max_freq": "2000\n",
    f"{FREQ}/throttle/status": "1\n", f"{FREQ}/throttle/reason_pl1": "1\n",
    f"{FREQ}/throttle/reason_pl2": "1\n", f"{FREQ}/throttle/reason_thermal": "0\n",
    "tile0/memory/freq0/max_freq": "19000\n", "tile0/physical_vram_size_bytes": "12809404416\n",
    "current_link_speed": "16.0 GT/s PCIe\n", "current_link_width": "8\n",
    "max_link_speed": "32.0 GT/s PCIe\n", "max_link_width": "16\n",
    "hwmon/hwmon3/name": "xe\n", "hwmon/hwmon3/energy1_input": "5000000\n",
    "hwmon/hwmon3/energy1_label": "card\n", "hwmon/hwmon3/energy2_input": "3000000\n",
    "hwmon/hwmon3/energy2_label": "pkg\n", "hwmon/hwmon3/power1_max": "190000000\n",
    "hwmon/hwmon3/power1_label": "card\n", "hwmon/hwmon3/power2_max": "150000000\n",
    "hwmon/hwmon3/power2_label": "pkg\n", "hwmon/hwmon3/temp2_input": "61000\n",
    "hwmon/hwmon3/temp2_label": "pkg\n", "hwmon/hwmon3/temp3_input": "72000\n",
    "hwmon/hwmon3/temp3_label": "vram\n", "hwmon/hwmon3/fan1_input": "1200\n",
}  # fmt: skip
VRAM = "  use_type: 1\n  use_tt: 0\n  size: {size}\n  usage: {used}\nvisible_size: 12288MiB\n"
I915 = {
    **IDENTITY, "device": "0x56a0\n", "hwmon/hwmon1/name": "i915\n",
    "hwmon/hwmon1/energy1_input": "9000000\n", "hwmon/hwmon1/power1_max": "0\n",
    "hwmon/hwmon1/temp1_input": "48000\n", "hwmon/hwmon2/name": "i915_gt0\n",
    "hwmon/hwmon2/energy1_input": "1\n",
}  # fmt: skip
RPS = {"gt/gt0/rps_act_freq_mhz": "0\n", "gt/gt0/rps_RP0_freq_mhz": "2400\n",
       "gt/gt0/throttle_reason_status": "0\n", "gt/gt0/throttle_reason_pl1": "0\n"}  # fmt: skip
NO_LISTS = (Path("/no/such/list"),)


class Machine:
    """A machine whose clock moves when somebody waits, with a source on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.waits: list[float] = []
        self.system = machine(root, clock=self.clock)
        self.sampler = IntelSampler(self.system, self.wait, NO_LISTS)

    def wait(self, seconds: float) -> None:
        """Move the clock, and what the card has used: 20 J a second."""
        self.waits.append(seconds)
        self.clock.now += seconds
        for path in self.root.glob("sys/class/drm/card*/device/hwmon/*/energy1_input"):
            path.write_text(str(int(path.read_text()) + round(seconds * 20e6)))

    def only(self, *, processes: bool = False) -> DeviceSnapshot:
        """Return the one device."""
        (device,) = self.sampler.sample(processes=processes).devices
        return device


def xe(root: Path, files: dict[str, str] | None = None) -> Machine:
    """Return a machine with a card of xe's."""
    card(root, 0, {**XE, **(files or {})}, driver="xe")
    return Machine(root)


def told(device: DeviceSnapshot) -> dict[str, object]:
    """Return the values of a device."""
    return {str(name): each.value for name, each in device.readings.items() if isinstance(each, Value)}


def reason(device: DeviceSnapshot, name: str) -> Reason:
    """Return why there is no value."""
    reading = device[name]
    assert isinstance(reading, Absent)
    return reading.reason


def client(driver: str, number: int, rest: str) -> tuple[str, str]:
    """Return an open file of a card with its fdinfo."""
    told = CLIENT.format(driver=driver, address="0000:03:00.0", number=number, rest=rest)
    return "/dev/dri/renderD128", told


def test_a_card_of_xe_is_told_without_any_tool(tmp_path: Path) -> None:
    """Every figure comes from its file, in base units; power follows from the card's energy, derived."""
    written(tmp_path, {"sys/kernel/debug/dri/0/vram0_mm": VRAM.format(size=12_700_000_256, used=4096)})
    device = xe(tmp_path).only()
    assert (device.key, device.vendor, device.unified) == ("0000:03:00.0", "Intel", False)
    assert told(device) == {
        "clock": 2.4e9, "clock_max": 2.85e9, "clock_memory_max": 1.9e10, "power_state": "active",
        "pcie_width": 8, "pcie_width_max": 16, "pcie_generation": 4, "pcie_generation_max": 5,
        "energy": 10.0, "power": pytest.approx(20), "power_limit": pytest.approx(190.0),
        "temperature": pytest.approx(61.0), "temperature_memory": pytest.approx(72.0),
        "throttle": ("power limit",), "memory_total": 12809404416, "memory_used": 4096,
        "memory_reserved": 12809404416 - 12_700_000_256,
    }  # fmt: skip
    assert reason(device, "fan") is Reason.UNSUPPORTED
    power = device["power"]
    assert isinstance(power, Value)
    assert power.basis is Basis.DERIVED


def test_a_card_of_i915_is_told_by_its_older_names(tmp_path: Path) -> None:
    """Frequencies stand beside the device; sensors of one engine block are not the card's; 0 is no limit."""
    folder = card(tmp_path, 0, I915, driver="i915")
    written(folder.parent, RPS)
    device = Machine(tmp_path).only()
    assert (told(device)["clock"], told(device)["clock_max"], told(device)["throttle"]) == (0, 2.4e9, ())
    assert told(device)["energy"] == 14.0
    assert told(device)["temperature"] == 48.0
    assert reason(device, "power_limit") is Reason.UNSUPPORTED
    assert device["memory_total"].source == ""


def test_it_declares_what_it_tells(tmp_path: Path) -> None:
    """What cards tell together is what is declared, no more and no less."""
    card(tmp_path, 0, XE, driver="xe")
    folder = card(tmp_path, 1, I915, "0000:04:00.0", driver="i915")
    written(folder.parent, {"lmem_total_bytes": "17179869184\n", "lmem_avail_bytes": "17000000000\n"})
    written(tmp_path, {"sys/kernel/debug/dri/0000:03:00.0/tile0/vram_mm": VRAM.format(size=9, used=1),
                       "sys/module/i915/version": "backport 1.24\n"})  # fmt: skip
    known = Machine(tmp_path)
    assert isinstance(known.sampler, Sampler)
    devices = known.sampler.sample(processes=True).devices
    assert {name for device in devices for name in told(device)} == known.sampler.coverage.gives


def test_an_integrated_part_works_in_the_hosts_memory(tmp_path: Path) -> None:
    """It has neither memory nor link of its own, and what it lacks is what is declared."""
    folder = card(tmp_path, 0, {**IDENTITY, "current_link_speed": "2.5 GT/s PCIe\n"}, "0000:00:02.0", "i915")
    written(folder.parent, RPS)
    known = Machine(tmp_path)
    device = known.only(processes=True)
    assert device.unified is True
    assert reason(device, "memory_total") is Reason.UNSUPPORTED
    assert set(told(device)) <= {
        str(name)
        for name in known.sampler.coverage.gives
        if known.sampler.coverage.cell(name, Setting.UNIFIED) is None
    }
    assert "pcie_generation" not in told(device)
    assert told(device)["utilization"] == 0.0


class Watched(System):
    """A machine that keeps which files were read."""

    def read(self, path: Path) -> str | Absent:
        """Return the text, and keep the path."""
        READ.append(path)
        return System.read(self, path)


READ: list[Path] = []


@pytest.mark.parametrize("status", ["suspended", "suspending"])
def test_a_card_that_sleeps_is_not_woken(status: str, tmp_path: Path) -> None:
    """Only identity and runtime status are read, and nobody waits; the rest is unsupported: suspended."""
    folder = card(tmp_path, 0, {**XE, "power/runtime_status": f"{status}\n"}, driver="xe")
    known = Machine(tmp_path)
    READ.clear()
    system = Watched(sysfs=known.system.sysfs, procfs=known.system.procfs, platform="linux")
    (device,) = IntelSampler(system, known.wait, NO_LISTS).sample(processes=True).devices
    below = {str(path.relative_to(folder)) for path in READ if path.is_relative_to(folder)}
    assert below <= {"uevent", "vendor", "device", "revision", "power/runtime_status"}
    assert known.waits == []
    assert told(device) == {"power_state": status}
    assert {reason(device, str(name)) for name in device.readings if name is not Quantity.POWER_STATE} == {
        Reason.UNSUPPORTED
    }


def test_power_is_the_mean_between_two_looks(tmp_path: Path) -> None:
    """A sleep in between, a counter that ran back and looks too near to each other give no power."""
    known = xe(tmp_path)
    seen = [told(known.only()).get("power")]
    known.wait(2)
    seen.append(told(known.only()).get("power"))
    known.clock.now += 0.01
    seen.append(told(known.only()).get("power"))
    energy = tmp_path / "sys/class/drm/card0/device/hwmon/hwmon3/energy1_input"
    known.wait(2)
    energy.write_text("7")
    seen.append(told(known.only()).get("power"))
    assert seen == [pytest.approx(20), pytest.approx(20), pytest.approx(20), None]
    assert known.waits[0] == FIRST_LOOK_S
    assert len([each for each in known.waits if each == FIRST_LOOK_S]) == 1


def test_how_busy_it_is_follows_from_its_clients(tmp_path: Path) -> None:
    """The busiest engine counts, between two looks at processes; in between the last is told with its age."""
    known = xe(tmp_path)
    known.only(processes=True)
    rest = "drm-cycles-{name}:\t{busy}\ndrm-total-cycles-{name}:\t{all}\n"
    file = process(tmp_path, 7, "llama", {5: client("xe", 3, "")}) / "fdinfo" / "5"
    for busy, over in ((0, 1000), (600, 2000)):
        engines = rest.format(name="ccs", busy=busy, all=over) + rest.format(
            name="rcs", busy=busy // 3, all=over
        )
        file.write_text(client("xe", 3, engines)[1], "utf-8")
        known.wait(10)
        device = known.only(processes=True)
    assert told(device)["utilization"] == pytest.approx(0.6)
    at = device["utilization"].at if isinstance(device["utilization"], Value) else None
    known.wait(1)
    later = known.only()["utilization"]
    assert isinstance(later, Value)
    assert (later.value, later.at) == (pytest.approx(0.6), at)


@pytest.mark.parametrize("why", ["others", "container"])
def test_a_part_of_the_clients_is_no_utilisation(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where clients are hidden the share of the others is not told as the card's; the list says so too."""
    known = xe(tmp_path)
    process(tmp_path, 7, "llama", {5: client("xe", 3, "drm-resident-vram0:\t4 MiB\n")})
    if why == "container":
        (tmp_path / "proc" / "self" / "ns").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "ns" / "pid").symlink_to("pid:[4026532999]")
    else:
        (tmp_path / "proc" / "9" / "fd").mkdir(parents=True)
        opened = clients._opened

        def locked(folder: Path) -> object:
            if folder.parent.name == "9":
                raise PermissionError
            return opened(folder)

        monkeypatch.setattr(clients, "_opened", locked)
    device = known.only(processes=True)
    assert reason(device, "utilization") is Reason.NO_PERMISSION
    assert not isinstance(device.processes, Absent)
    (one,) = device.processes
    assert isinstance(one.memory, Value)
    assert (one.pid, one.name, one.memory.value) == (7, "llama", 4 << 20)
    assert len(device.notes) == 1


def test_the_link_of_a_card_with_a_switch_is_that_of_the_slot(tmp_path: Path) -> None:
    """Behind the card's own switch the device states one lane of the first generation; the slot has eight."""
    bus = tmp_path / "sys" / "devices" / "pci0000:00" / "0000:00:01.0"
    switch = bus / "0000:01:00.0"
    device = switch / "0000:02:01.0" / "0000:03:00.0"
    for folder, speed, width in ((bus, "8", 4), (switch, "16.0", 8), (device.parent, "2.5", 1)):
        written(folder, {"vendor": "0x8086\n", "current_link_speed": f"{speed} GT/s PCIe\n",
                         "current_link_width": f"{width}\n"})  # fmt: skip
    inner = {"current_link_speed": "2.5 GT/s PCIe\n", "current_link_width": "1\n"}
    written(device, {**XE, **inner, "uevent": "DRIVER=xe\nPCI_SLOT_NAME=0000:03:00.0\n"})
    (tmp_path / "sys" / "class" / "drm" / "card0").mkdir(parents=True)
    (tmp_path / "sys" / "class" / "drm" / "card0" / "device").symlink_to(device)
    found = told(Machine(tmp_path).only())
    assert (found["pcie_generation"], found["pcie_width"]) == (4, 8)


def test_tiles_are_added_up(tmp_path: Path) -> None:
    """A card of two tiles has the memory of both, derived."""
    device = xe(tmp_path, {"tile1/physical_vram_size_bytes": "12809404416\n"}).only()
    total = device["memory_total"]
    assert isinstance(total, Value)
    assert (total.value, total.basis) == (2 * 12809404416, Basis.DERIVED)


def test_figures_that_cannot_be_are_reasons(tmp_path: Path) -> None:
    """A file with something else than what it should hold gives no value, and the others stay."""
    odd = {f"{FREQ}/act_freq": "fast\n", f"{FREQ}/throttle/reason_pl1": "2\n",
           "hwmon/hwmon3/temp2_input": "-2147483648\n"}  # fmt: skip
    device = xe(tmp_path, odd).only()
    assert {reason(device, name) for name in ("clock", "throttle", "temperature")} == {Reason.UNPARSED}
    assert told(device)["clock_max"] == 2.85e9


def test_names_come_from_the_list_of_pci_devices(tmp_path: Path) -> None:
    """The product's name in brackets, of Intel's block alone; no list is no name."""
    known = xe(tmp_path)
    ids = tmp_path / "pci.ids"
    ids.write_text(
        "# list\n1002  AMD\n\te20b  Other\n8086  Intel Corporation\n\te20a  x\n"
        "\te20b  Battlemage G21 [Arc B580]\n\t\t8086 1100  board\n9999  Last\n",
        "utf-8",
    )
    assert known.only().name == ""
    assert (
        IntelSampler(known.system, known.wait, (ids,)).sample(processes=False).devices[0].name == "Arc B580"
    )


def test_checks_say_what_is_there(tmp_path: Path) -> None:
    """The check names cards and sleepers; without a card, and elsewhere, it does not work."""
    assert not Machine(tmp_path).sampler.check().works
    card(tmp_path, 0, XE, driver="xe")
    card(tmp_path, 1, {"power/runtime_status": "suspended"}, "0000:04:00.0", "i915")
    card(tmp_path, 2, {}, "0000:05:00.0", "amdgpu")
    assert Machine(tmp_path).sampler.check().found == "2 cards, 1 suspended"
    assert not IntelSampler(System(sysfs=tmp_path / "sys", platform="darwin")).check().works


def test_a_source_that_knows_the_same_card_adds_to_it(tmp_path: Path) -> None:
    """Cards are known by their PCI address, so that what xpu-smi says and what the kernel says meet."""
    known = xe(tmp_path)
    sample = known.sampler.sample(processes=False)
    (device,) = merged_devices([sample, sample])
    assert device.key == "0000:03:00.0"
