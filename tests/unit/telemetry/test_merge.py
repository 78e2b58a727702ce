"""Devices of several sources as one list."""

from itertools import permutations

import pytest

from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-SOURCES")
Q = Quantity
UUID = "GPU-00000000-0000-0000-0000-000000000001"
KEY = "0000:01:00.0"


def test_one_device_is_one_whatever_the_order_of_its_sources() -> None:
    """By its UUID alone, by its address, and by both: one device, and its slices stand behind it."""
    gauge = Gauge("test")
    by_address = DeviceSnapshot(KEY, "", "NVIDIA", readings={Q.MEMORY_USED: gauge(Q.MEMORY_USED, 1 << 30)})
    by_both = DeviceSnapshot(KEY, "Card", "NVIDIA", uuid=UUID)
    by_uuid = DeviceSnapshot(UUID, "", "NVIDIA", uuid=UUID, readings={Q.FAN: gauge(Q.FAN, 0.5)})
    part = DeviceSnapshot("MIG-1", "Part", "NVIDIA", "mig", uuid="MIG-1", parent=UUID)
    for order in permutations(((by_address,), (by_both,), (by_uuid, part))):
        whole, slice_ = merged_devices([Sample(devices=devices) for devices in order])
        assert (whole.key, whole.name, set(whole.readings)) == (KEY, "Card", {Q.MEMORY_USED, Q.FAN})
        assert (slice_.key, slice_.parent) == ("MIG-1", KEY)


def test_slices_of_slices_are_not_lost() -> None:
    """Each stands behind what it is a slice of; one whose device nobody tells of stands alone."""
    keys = (("b", ""), ("a/1/0", "a/1"), ("a/1", "a"), ("lost/0", "lost"), ("a", ""))
    told = Sample(devices=tuple(DeviceSnapshot(key, key, "NVIDIA", parent=parent) for key, parent in keys))
    assert [device.key for device in merged_devices([told])] == ["b", "lost/0", "a", "a/1", "a/1/0"]
