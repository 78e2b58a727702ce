"""What nvidia-smi prints, in its several forms and versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value, bytes_of, number_of
from hwledger.telemetry.recorded import formats, read_recorded
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-NVIDIA-SMI")
Q = Quantity
XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
 <driver_version>{driver}</driver_version><attached_gpus>1</attached_gpus>
 <gpu id="00000000:0A:00.0">
  <product_name>NVIDIA Test</product_name><uuid>GPU-12345678-1234-1234-1234-123456789012</uuid>
  <{events}><{event}_sw_power_cap>Active</{event}_sw_power_cap>
   <{event}_gpu_idle>Not Active</{event}_gpu_idle></{events}>
  <fb_memory_usage><total>8192 MiB</total>{reserved}<used>1000 MiB</used>
   <free>{free} MiB</free></fb_memory_usage>
  <ecc_errors><volatile><sram_uncorrectable>2</sram_uncorrectable>
   <dram_uncorrectable>3</dram_uncorrectable></volatile></ecc_errors>
  <{power}><{draw}>70.50 W</{draw}></{power}>
  <processes><process_info><pid>7</pid><type>C+G</type><process_name>x</process_name>
   <used_memory>9 MiB</used_memory></process_info></processes>
 </gpu>
</nvidia_smi_log>
"""
OLD = {"driver": "470.1", "events": "clocks_throttle_reasons", "event": "clocks_throttle_reason",
       "reserved": "", "free": "7192", "power": "power_readings", "draw": "power_draw"}  # fmt: skip
NEW = {"driver": "595.1", "events": "clocks_event_reasons", "event": "clocks_event_reason", "free": "6792",
       "reserved": "<reserved>400 MiB</reserved>", "power": "gpu_power_readings",
       "draw": "average_power_draw"}  # fmt: skip
HANDLE = "Unable to determine the device handle for GPU"
TABLE = """
| NVIDIA-SMI 610.1                  KMD Version: 610.1         CUDA UMD Version: 13.3     |
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
|   3  NVIDIA Test                    Off |   00000000:0A:00.0 Off |                    0 |
| 38%   38C    P2             97W /  250W |     815MiB /   8192MiB |      8%      Default |
| Processes:                                                                              |
|    3   N/A  N/A            4556    C+G   /usr/bin/some thing                      3MiB |
"""


def only(sample: Sample) -> DeviceSnapshot:
    """Return the one device."""
    (device,) = sample.devices
    return device


@pytest.mark.parametrize("names", [OLD, NEW])
def test_names_decide_and_not_the_version_of_the_document(names: dict[str, str]) -> None:
    """Old and new names under the same DTD tell the same values; reserved memory is told apart or noted."""
    kind, sample = read_recorded(XML.format(**names))
    device = only(sample)
    assert kind.name == "nvidia-smi -q -x"
    assert (device.key, device.index, device.name) == ("0000:0a:00.0", 0, "NVIDIA Test")
    assert number_of(device[Q.POWER]) == 70.5
    assert bytes_of(device[Q.MEMORY_USED]) == 1000 << 20
    assert bytes_of(device[Q.ERRORS_UNCORRECTED]) == 5
    throttle = device[Q.THROTTLE]
    assert isinstance(throttle, Value)
    assert throttle.value == ("power limit (normal management)",)
    assert not isinstance(device.processes, Absent)
    assert [(p.pid, p.kind, bytes_of(p.memory)) for p in device.processes] == [
        (7, "compute+graphics", 9 << 20)
    ]
    assert bool(device.notes) == (names is OLD)


def test_a_document_that_breaks_off_keeps_the_devices_before_the_break() -> None:
    """A cut document tells of the whole devices, and says that it is broken; entities are refused."""
    whole = XML.format(**NEW)
    gpu = whole[whole.index("<gpu ") : whole.index("</nvidia")]
    two = whole.replace(gpu, gpu + gpu.replace("0A:", "0B:"))
    sample = read_recorded(two[: two.rindex("<fb_memory")])[1]
    assert [device.key for device in sample.devices] == ["0000:0a:00.0"]
    assert "broken" in sample.troubles[0]
    bomb = whole.replace('nvsmi_device_v12.dtd">', 'x.dtd" [<!ENTITY a "b">]>')
    refused = read_recorded(bomb)[1]
    assert refused.failure is not None
    assert refused.failure.reason is Reason.UNPARSED


def test_the_table_of_new_drivers_is_read() -> None:
    """Drivers from 610 on head their table differently; processes with blanks in their names are whole."""
    kind, sample = read_recorded(TABLE)
    device = only(sample)
    assert (kind.name, device.index) == ("nvidia-smi", 3)
    assert bytes_of(device[Q.MEMORY_TOTAL]) == 8192 << 20
    assert number_of(device[Q.FAN]) == pytest.approx(0.38)
    assert not isinstance(device.processes, Absent)
    assert [process.name for process in device.processes] == ["/usr/bin/some thing"]
    driver = device[Q.DRIVER]
    assert isinstance(driver, Value)
    assert driver.value == "610.1"


def test_columns_are_known_by_their_names() -> None:
    """The order of columns does not matter, units stand in heads or cells, names keep their commas."""
    text = "name, memory.used [MiB], index, memory.total [MiB]\nNVIDIA Test, 100, 2, 8192 MiB\n"
    device = only(read_recorded(text)[1])
    assert (device.index, bytes_of(device[Q.MEMORY_USED]), bytes_of(device[Q.MEMORY_TOTAL])) == (
        2,
        100 << 20,
        8 << 30,
    )
    apps = "pid, process_name, used_gpu_memory [MiB]\n12, /bin/a, b, [N/A]\n"
    held = only(read_recorded(apps)[1]).processes
    assert not isinstance(held, Absent)
    assert held[0].name == "/bin/a, b"
    assert isinstance(held[0].memory, Absent)
    assert held[0].memory.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (f"{HANDLE} 0000:02:00.0: GPU is lost. Reboot", "0000:02:00.0", "lost device"),
        ("NVRM: Xid (PCI:0000:03:00): 79, pid=1, GPU has fallen off the bus.", "0000:03:00.0", "lost device"),
        ("Failed to initialize NVML: Insufficient Permissions", None, "no permission"),
        ("Failed to initialize NVML: Driver/library version mismatch", None, "absent tool"),
        ("bash: nvidia-smi: command not found", None, "absent tool"),
        ("No devices were found", None, "unsupported"),
    ],
)  # fmt: skip
def test_error_messages_become_reasons(text: str, key: str | None, reason: str) -> None:
    """A message about one device is that device's reason, one about the driver the source's."""
    sample = read_recorded(text)[1]
    if key is None:
        assert sample.failure is not None
        assert sample.failure.reason == reason
    else:
        device = only(sample)
        assert device.key == key
        assert isinstance(device[Q.MEMORY_USED], Absent)
        assert device[Q.MEMORY_USED].reason == reason
    assert sample.troubles


def test_rails_that_feed_more_than_the_gpu_are_not_its_power() -> None:
    """A Jetson's power is told only where a rail is the GPU's own; its memory is the host's."""
    line = "RAM 4300/30698MB GR3D_FREQ 45%@[621] gpu@49.5C VDD_CPU_GPU_CV 518mW/518mW VDD_IN 4824mW/4824mW"
    device = only(read_recorded(line)[1])
    assert device.unified
    assert bytes_of(device[Q.MEMORY_TOTAL]) == 30698 << 20
    assert isinstance(device[Q.POWER], Absent)
    assert number_of(device[Q.CLOCK]) == 621e6
    alone = only(read_recorded(line.replace("VDD_CPU_GPU_CV 518mW", "VDD_GPU 99mW"))[1])
    assert number_of(alone[Q.POWER]) == pytest.approx(0.099)


@given(st.data())
def test_no_mutation_of_an_output_raises(data: st.DataObject) -> None:
    """Cut, repeated and overwritten outputs are read as far as they go."""
    text = data.draw(st.sampled_from([XML.format(**NEW), TABLE, XML.format(**OLD)]))
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(
        st.text(max_size=8) | st.sampled_from(["<gpu", "|", "\n", ": ", "</gpu>", "999999999999999 MiB"])
    )
    broken = text[:at] + put + text[at + data.draw(st.integers(0, 40)) :]
    for each in formats():
        each.recognises(broken)
        each.read(broken)
