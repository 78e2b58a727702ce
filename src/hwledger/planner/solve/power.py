"""Power limits of devices."""

from hwledger.device.spec import DeviceSpec
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.measured import serves


def power_share(device: DeviceSpec) -> float:
    """Return the limit that is set on a device as a share of its board power; 1 where none is set."""
    if device.power_watts and device.tdp_watts:
        return device.power_watts / device.tdp_watts
    return 1.0


def plan_power_share(plan: Plan) -> float:
    """Return what ``estimate`` is to be told of the power limits that are set on a plan's devices.

    On engines of single requests it reads each device's limit itself; serving has one for all of them,
    which is the tightest.
    """
    if not serves(plan.engine):
        return 1.0
    return min(map(power_share, plan.request.devices), default=1.0)
