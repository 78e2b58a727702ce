"""What NVML can tell, and where it cannot."""

from types import MappingProxyType
from typing import Final

from hwledger.telemetry.coverage import Coverage, Setting
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reason

_MEMORY: Final = frozenset(
    {
        Quantity.MEMORY_TOTAL, Quantity.MEMORY_USED, Quantity.MEMORY_RESERVED, Quantity.MEMORY_FREE,
        Quantity.MEMORY_USABLE,
    }
)  # fmt: skip
_DRIVER: Final = frozenset({Quantity.DRIVER, Quantity.RUNTIME})
_GIVES: Final = (
    _MEMORY | _DRIVER
    | {
        Quantity.UTILIZATION, Quantity.MEMORY_ACTIVITY, Quantity.TEMPERATURE, Quantity.TEMPERATURE_MEMORY,
        Quantity.FAN, Quantity.POWER, Quantity.POWER_LIMIT, Quantity.ENERGY, Quantity.CLOCK,
        Quantity.CLOCK_MAX, Quantity.CLOCK_MEMORY, Quantity.CLOCK_MEMORY_MAX, Quantity.THROTTLE,
        Quantity.PERFORMANCE_STATE, Quantity.PCIE_GENERATION, Quantity.PCIE_GENERATION_MAX,
        Quantity.PCIE_WIDTH, Quantity.PCIE_WIDTH_MAX, Quantity.ERRORS_UNCORRECTED, Quantity.POWER_STATE,
    }
)  # fmt: skip
_NOT_ON_SHARED: Final = _MEMORY | {
    Quantity.FAN, Quantity.POWER_LIMIT, Quantity.ERRORS_UNCORRECTED, Quantity.TEMPERATURE_MEMORY
}  # fmt: skip
"""What parts without memory of their own do not tell (recorded outputs of GB10, drivers 580.126, 580.173)."""

COVERAGE: Final = Coverage(
    gives=_GIVES,
    lacks=MappingProxyType(
        {
            Setting.MIG: MappingProxyType(dict.fromkeys(_GIVES - _MEMORY - _DRIVER, Reason.UNSUPPORTED)),
            Setting.UNIFIED: MappingProxyType(dict.fromkeys(_NOT_ON_SHARED, Reason.UNSUPPORTED)),
            Setting.WSL: MappingProxyType({Quantity.POWER_STATE: Reason.UNSUPPORTED}),
        }
    ),
    processes=MappingProxyType({Setting.CONTAINER: Reason.NO_PERMISSION, Setting.WSL: Reason.UNSUPPORTED}),
)
"""By NVML. A slice has memory and processes; everything else is its device's. In a container only its own
processes are seen; under WSL they are seen without their memory."""
