"""What each of Intel's sources can tell, and what it cannot, where."""

from types import MappingProxyType
from typing import Final

from hwledger.telemetry.coverage import Coverage, Setting
from hwledger.telemetry.intel.names import rows
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reason

Q = Quantity
_INTEGRATED_LACKS: Final = MappingProxyType(
    dict.fromkeys(
        {
            Q.MEMORY_TOTAL, Q.MEMORY_USED, Q.MEMORY_RESERVED, Q.MEMORY_FREE, Q.TEMPERATURE,
            Q.TEMPERATURE_MEMORY, Q.POWER, Q.POWER_LIMIT, Q.ENERGY, Q.FAN, Q.CLOCK_MEMORY_MAX,
            Q.MEMORY_ACTIVITY, Q.PCIE_GENERATION, Q.PCIE_GENERATION_MAX, Q.PCIE_WIDTH, Q.PCIE_WIDTH_MAX,
            Q.PCIE_RECEIVED, Q.PCIE_SENT, Q.ERRORS_UNCORRECTED,
        },
        Reason.UNSUPPORTED,
    )
)  # fmt: skip
"""An integrated part has no memory, no sensors and no link of its own (i915_hwmon.c, xe_hwmon.c: IS_DGFX)."""
_NO_PROCESSES: Final = MappingProxyType({Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED})


def _all(table: str) -> frozenset[Quantity]:
    return frozenset(Quantity(row["quantity"]) for row in rows(table))


INTEL: Final = Coverage(
    gives=_all("sysfs")
    | _all("sensor")
    | {
        Q.PCIE_GENERATION, Q.PCIE_GENERATION_MAX, Q.THROTTLE, Q.MEMORY_TOTAL, Q.MEMORY_USED,
        Q.MEMORY_RESERVED, Q.MEMORY_FREE, Q.POWER, Q.UTILIZATION, Q.DRIVER,
    },
    lacks=MappingProxyType(
        {
            Setting.CONTAINER: MappingProxyType(
                dict.fromkeys((Q.UTILIZATION, Q.MEMORY_USED, Q.MEMORY_RESERVED), Reason.NO_PERMISSION)
            ),
            Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED,
            Setting.UNIFIED: _INTEGRATED_LACKS,
        }
    ),
    processes=_NO_PROCESSES,
)  # fmt: skip
"""WSL has no i915 but /dev/dxg. Others' clients and the debug file system are not seen from a container."""
XPU_SMI: Final = Coverage(
    gives=_all("reading") | _all("discovery"),
    lacks=MappingProxyType(
        {
            Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED,
            Setting.UNIFIED: Reason.UNSUPPORTED,
        }
    ),
    processes=MappingProxyType(
        {
            Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED,
            Setting.UNIFIED: Reason.UNSUPPORTED,
        }
    ),
)  # fmt: skip
"""XPU Manager is for cards; it runs on WSL for none (its documentation, system requirements)."""
