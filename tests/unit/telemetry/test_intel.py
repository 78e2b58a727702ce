"""Intel's tools, nvtop and tailscale: names by version, blanks, and units that are not certain."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, bytes_of, number_of
from hwledger.telemetry.recorded import formats, read_recorded

Q = Quantity
STATS = {"device_id": 1, "device_level": [
    {"metrics_type": "XPUM_STATS_MEMORY_USED", "value": 100.5},
    {"metrics_type": "XPUM_STATS_ENERGY", "value": 5000},
    {"metrics_type": "XPUM_STATS_GPU_UTILIZATION", "avg": 12.5},
]}  # fmt: skip
TABLE = """
| Device ID                   | 1                              |
| Average % utilization of    | 50                             |
| all GPU Engines             |                                |
| EU Array Active (%)         |                                |
| GPU Memory Temperature (C)  |                                |
| GPU Memory Used (MiB)       | 24                             |
"""
DUMP = (
    "Timestamp, DeviceId, GPU Power (W), GPU Frequency (MHz)\nx,    0, 9.5,     \nx,    0, 10.5,    \nx, 0, 1"
)
TOP = [{"device_name": "AMD Radeon 680M", "gpu_clock": "2200MHz", "fan_speed": "CPU Fan",
        "mem_used": "1024", "temp": None}]  # fmt: skip
STATUS = {
    "BackendState": "Running", "Self": {"HostName": "me", "TailscaleIPs": ["100.64.0.1"], "Online": True},
    "Peer": {"k": {"HostName": "other", "OS": "linux", "TailscaleIPs": None}},
}  # fmt: skip


@pytest.mark.requirement("FR-TEL-INTEL")
def test_statistics_are_the_same_as_json_and_as_a_table() -> None:
    """Metrics are found by their type or label, also one that goes on in the next row; blanks are none."""
    device = read_recorded(json.dumps(STATS))[1].devices[0]
    assert (device.index, bytes_of(device[Q.MEMORY_USED])) == (1, round(100.5 * 2**20))
    assert number_of(device[Q.ENERGY]) == 5
    assert number_of(device[Q.UTILIZATION]) == 0.125
    table = read_recorded(TABLE)[1].devices[0]
    assert number_of(table[Q.UTILIZATION]) == 0.5
    assert bytes_of(table[Q.MEMORY_USED]) == 24 << 20
    blank = table[Q.TEMPERATURE_MEMORY]
    assert isinstance(blank, Absent)
    assert blank.reason is Reason.UNSUPPORTED


@pytest.mark.requirement("FR-TEL-INTEL")
def test_the_newest_whole_row_of_a_dump_counts() -> None:
    """A row that was cut is passed over; a blank cell is a field that the device does not have."""
    device = read_recorded(DUMP)[1].devices[0]
    assert number_of(device[Q.POWER]) == 10.5
    assert isinstance(device[Q.CLOCK], Absent)


@pytest.mark.requirement("FR-TEL-INTEL")
def test_a_stream_that_is_not_closed_is_read_to_its_last_whole_object() -> None:
    """intel_gpu_top's array never ends; memory is not among what it tells."""
    one = {"rc6": {"value": 0}, "engines": {"Render/3D": {"busy": 40.0, "unit": "%"}},
           "power": {"GPU": 3.5, "unit": "W"}}  # fmt: skip
    two = json.dumps(one).replace("40.0", "60.0")
    device = read_recorded(f"[\n{json.dumps(one)},\n{two},\n{two[:30]}")[1].devices[0]
    assert number_of(device[Q.UTILIZATION]) == 0.6
    assert isinstance(device[Q.MEMORY_USED], Absent)


@pytest.mark.requirement("FR-TEL-NVTOP")
def test_units_that_are_glued_to_numbers_are_read() -> None:
    """Nvtop's texts become numbers in base units; null and a fan of the processor's are no values."""
    device = read_recorded(json.dumps(TOP))[1].devices[0]
    assert (device.vendor, number_of(device[Q.CLOCK]), bytes_of(device[Q.MEMORY_USED])) == (
        "AMD",
        2.2e9,
        1024,
    )
    for quantity in (Q.FAN, Q.TEMPERATURE):
        reading = device[quantity]
        assert isinstance(reading, Absent)
        assert reading.reason is Reason.UNSUPPORTED


@pytest.mark.requirement("FR-TEL-NVTOP")
def test_a_tailnet_tells_its_machines_or_why_not() -> None:
    """This machine comes first; being logged out is a matter of rights."""
    sample = read_recorded(json.dumps(STATUS))[1]
    assert [(peer.name, peer.own, peer.online) for peer in sample.peers] == [
        ("me", True, True),
        ("other", False, None),
    ]
    out = read_recorded('{"BackendState": "NeedsLogin", "Self": {"TailscaleIPs": null}}')[1]
    assert out.failure is not None
    assert out.failure.reason is Reason.NO_PERMISSION


@pytest.mark.requirement("FR-TEL-INTEL")
@given(st.sampled_from([json.dumps(STATS), TABLE, DUMP, json.dumps(TOP), json.dumps(STATUS)]), st.data())
def test_no_mutation_raises(text: str, data: st.DataObject) -> None:
    """Cut and overwritten outputs are read as far as they go, by every reader."""
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.text(max_size=8) | st.sampled_from(["{", "[]", "null", "|", ", ", "1e999", '""']))
    broken = text[:at] + put + text[at + data.draw(st.integers(0, 30)) :]
    for each in formats():
        each.recognises(broken)
        each.read(broken)
