"""Power limits of devices."""

from collections.abc import Sequence

from hwledger.device.spec import DeviceSpec


def power_share(device: DeviceSpec) -> float:
    """Return the limit that is set on a device as a share of its board power; 1 where none is set."""
    if device.power_watts and device.tdp_watts:
        return device.power_watts / device.tdp_watts
    return 1.0


def least_power_share(devices: Sequence[DeviceSpec]) -> float:
    """Return the tightest limit of several devices."""
    return min(map(power_share, devices), default=1.0)
