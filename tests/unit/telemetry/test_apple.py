"""Apple's tools: names by version, zeros that are no values, and the live sources."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.apple.ioreg import read_ioreg
from hwledger.telemetry.apple.live import apple_sampler, macmon_sampler
from hwledger.telemetry.apple.macmon import read_macmon
from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, bytes_of, number_of
from hwledger.telemetry.recorded import read_recorded
from hwledger.telemetry.system import Ran, System

pytestmark = pytest.mark.requirement("FR-TEL-APPLE")
Q = Quantity
MEMORY = {"ram_total": 16 << 30, "ram_usage": 10 << 30, "swap_total": 0, "swap_usage": 0}
OLD = {
    "gpu_usage": [461, 0.25], "ecpu_usage": [1, 0.1], "gpu_power": 1.5, "cpu_power": 2.0, "gpu_ram_power": 0,
    "memory": MEMORY, "temp": {"cpu_temp_avg": 40.5, "gpu_temp_avg": 0.0},
}  # fmt: skip
NEW = {
    "gpu_freq_mhz": 461, "gpu_scaled_ratio": 0.1, "gpu_active_ratio": 0.25, "ecpu_freq_mhz": 1,
    "gpu_power": 1.5, "memory": MEMORY, "temp": {"cpu_temp_avg": 40.5, "gpu_temp_avg": 50.0},
}  # fmt: skip
IOREG = """+-o AGXAcceleratorG16G  <class AGXAcceleratorG16G, id 0x1>
  "PerformanceStatistics" = {"Device Utilization %"=21,"In use system memory"=1048576}
  "model" = "Apple M4"
"""


@pytest.mark.parametrize("said", [OLD, NEW])
def test_old_and_new_names_tell_the_same(said: dict[str, object]) -> None:
    """Clock, busy share and power are the same before and after the renaming of 0.8."""
    device = read_recorded(f"{json.dumps(said)}\n")[1].devices[0]
    assert number_of(device[Q.CLOCK]) == 461e6
    assert number_of(device[Q.UTILIZATION]) == 0.25
    assert number_of(device[Q.POWER]) == 1.5
    assert bool(device.notes) == (said is OLD)


def test_a_zero_that_means_no_sensor_is_no_value() -> None:
    """A temperature of 0.0 is unsupported; a swap of 0 is 0."""
    sample = read_macmon(json.dumps(OLD))
    temperature = sample.devices[0][Q.TEMPERATURE]
    assert isinstance(temperature, Absent)
    assert temperature.reason is Reason.UNSUPPORTED
    assert sample.host is not None
    assert bytes_of(sample.host[Q.SWAP_TOTAL]) == 0
    assert bytes_of(sample.host[Q.HOST_MEMORY_AVAILABLE]) == 6 << 30


def test_the_last_whole_line_of_a_stream_counts() -> None:
    """A stream that was cut in a line is read up to the line before."""
    line = json.dumps(OLD)
    sample = read_macmon(f"{line}\n{line.replace('461', '500')}\n{line[:40]}")
    assert number_of(sample.devices[0][Q.CLOCK]) == 500e6


def mac(limit: str) -> System:
    """Return a Mac with macmon whose wired limit is that."""

    def run(command: Sequence[str], limit_s: float = 0) -> Ran | Absent:
        del limit_s
        said = {"macmon": json.dumps(NEW), "ioreg": IOREG, "sysctl": f"{16 << 30}\n{limit}\n"}
        return Ran(0, said[command[0]], "")

    return System(platform="darwin", run=run, clock=lambda: 5.0)


@pytest.mark.parametrize(("limit", "value"), [("12288", 12 << 30), ("0", None), ("", None)])
def test_a_mac_is_one_device_of_both_sources(limit: str, value: int | None) -> None:
    """Macmon and ioreg together are one GPU with the machine's memory; nothing is derived from it."""
    system = mac(limit)
    samplers = (macmon_sampler(system), apple_sampler(system))
    assert all(sampler.check().works for sampler in samplers)
    samples = [sampler.sample(processes=True) for sampler in samplers]
    (device,) = merged_devices(samples)
    assert (device.name, device.unified) == ("Apple M4", True)
    assert bytes_of(device[Q.MEMORY_TOTAL]) == 16 << 30
    assert bytes_of(device[Q.MEMORY_USED]) == 1 << 20
    assert isinstance(device[Q.MEMORY_FREE], Absent)
    assert number_of(device[Q.UTILIZATION]) == 0.25
    assert samples[1].host is not None
    assert bytes_of(samples[1].host[Q.WIRED_LIMIT]) == value


def test_elsewhere_and_without_tools_it_says_so() -> None:
    """On no Mac nothing is asked; a tool that is missing or fails is a reason."""
    assert not macmon_sampler(System(platform="linux")).check().works
    gone = System(platform="darwin", run=lambda *_: Absent(Reason.ABSENT_TOOL, "no such tool"))
    assert "brew" in macmon_sampler(gone).check().remedy
    assert apple_sampler(gone).sample(processes=False).failure is not None
    failing = System(platform="darwin", run=lambda *_: Ran(1, "", "not permitted"))
    assert apple_sampler(failing).sample(processes=False).troubles == ("apple: not permitted",)


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    """Whatever ioreg or macmon print is read as far as it goes."""
    read_ioreg(text)
    read_macmon(text)
    read_ioreg(IOREG[: len(text)] + text + IOREG[len(text) :])


HARDWARE = """Hardware:

    Hardware Overview:

      Model Name: Test Mac
      {chip}
      Memory: 48 GB
      System Firmware Version: 1.2.3
"""


@pytest.mark.requirement("FR-TEL-APPLE")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        (HARDWARE.format(chip="Chip: Apple M9 Pro"), "Apple M9 Pro"),
        (HARDWARE.format(chip="Processor Name: Old Core"), "Old Core"),
        ("Memory:\n\n      Memory: 48 GB\n      Type: LPDDR5\n", ""),
        (
            json.dumps({"SPHardwareDataType": [{"chip_type": "Apple M9", "physical_memory": "48 GB"}]}),
            "Apple M9",
        ),
    ],
)
def test_the_hardware_of_a_mac_is_read(text: str, name: str) -> None:
    """Chip and memory stand in the outputs of hardware and memory, as text and as JSON; GB are GiB."""
    kind, sample = read_recorded(text)
    assert kind.name == "system_profiler"
    assert sample.host is not None
    assert sample.host.name == name
    assert bytes_of(sample.host.readings[Q.HOST_MEMORY_TOTAL]) == 48 << 30
    if not text.startswith("{"):
        more = (
            "\nGraphics/Displays:\n\n      Chipset Model: Apple M9\n      Vendor: Apple\n      Memory: 1 GB\n"
        )
        both = read_recorded(text + more)[1]
        assert len(both.devices) == 1
        assert both.host == sample.host


@pytest.mark.requirement("FR-TEL-APPLE")
@pytest.mark.parametrize(("frequency", "hertz"), [("712.5", 712.5e6), ("1398000000", 1398e6)])
def test_the_property_list_of_powermetrics_is_read(frequency: str, hertz: float) -> None:
    """The last sample counts; its GPU's ``freq_hz`` are megahertz; busy is what is left of idle."""
    form = (
        '<?xml version="1.0"?>\n<plist version="1.0"><dict><key>hw_model</key><string>T</string>'
        "<key>processor</key><dict><key>cpu_power</key><real>250</real>"
        "<key>gpu_power</key><real>{power}</real></dict><key>gpu</key><dict><key>freq_hz</key>"
        "<real>{frequency}</real><key>idle_ratio</key><real>0.75</real></dict></dict></plist>\n"
    )
    text = form.format(power=1, frequency=5) + form.format(power=1500, frequency=frequency)
    kind, sample = read_recorded(text)
    assert kind.name == "powermetrics -f plist"
    (device,) = sample.devices
    told = [number_of(device[each]) for each in (Q.POWER, Q.CLOCK, Q.UTILIZATION)]
    assert told == [1.5, hertz, 0.25]
    assert sample.host is not None
    assert number_of(sample.host.readings[Q.CPU_POWER]) == 0.25
    assert read_recorded(text[:-40])[1].troubles
    assert read_recorded(text.replace('1.0"?', '1.0" encoding="X-9"?'))[1].troubles


@pytest.mark.requirement("FR-TEL-APPLE")
def test_the_part_about_the_gpu_is_enough() -> None:
    """People post the part of powermetrics that they mean."""
    text = "**** GPU usage ****\n\nGPU HW active frequency: 444 MHz\nGPU HW active residency: 20.50%\n"
    (device,) = read_recorded(text)[1].devices
    assert [number_of(device[each]) for each in (Q.CLOCK, Q.UTILIZATION)] == [444e6, 0.205]
