"""What each of AMD's sources can tell, and what it cannot, where."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.amd.facts import rows
from hwledger.telemetry.coverage import Coverage, Setting
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reason

_LINK: Final = frozenset(
    {
        Quantity.PCIE_GENERATION,
        Quantity.PCIE_GENERATION_MAX,
        Quantity.PCIE_WIDTH,
        Quantity.PCIE_WIDTH_MAX,
    }
)
_CLOCKS: Final = frozenset(
    {Quantity.CLOCK, Quantity.CLOCK_MAX, Quantity.CLOCK_MEMORY, Quantity.CLOCK_MEMORY_MAX}
)
_APU_LACKS: Final[Mapping[Quantity, Reason]] = MappingProxyType(
    dict.fromkeys(
        {
            Quantity.TEMPERATURE_HOTSPOT,
            Quantity.TEMPERATURE_MEMORY,
            Quantity.FAN,
            Quantity.POWER_LIMIT,
            Quantity.MEMORY_ACTIVITY,
            Quantity.ERRORS_UNCORRECTED,
            *_LINK,
        },
        Reason.UNSUPPORTED,
    )
)
"""An APU has one sensor, no fan, no link and no cap of its own (amdgpu thermal.rst; recorded outputs)."""
_WITHOUT: Final[Mapping[Setting, Mapping[Quantity, Reason] | Reason]] = MappingProxyType(
    {Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED, Setting.UNIFIED: _APU_LACKS}
)
"""WSL has no amdgpu but /dev/dxg; MIG is NVIDIA's: AMD's partitions are devices of their own."""
_NO_PROCESSES: Final = MappingProxyType({Setting.WSL: Reason.UNSUPPORTED, Setting.MIG: Reason.UNSUPPORTED})


def _all(table: str) -> frozenset[Quantity]:
    return frozenset(row.quantity for row in rows(table))


AMDGPU: Final = Coverage(
    gives=_all("sysfs")
    | _LINK
    | _CLOCKS
    | {
        Quantity.FAN,
        Quantity.ERRORS_UNCORRECTED,
        Quantity.DRIVER,
        Quantity.POWER_STATE,
        Quantity.MEMORY_USABLE,
    },
    lacks=_WITHOUT,
    processes=_NO_PROCESSES,
)
AMD_SMI: Final = Coverage(
    gives=_all("amd_smi") | {Quantity.PCIE_GENERATION, Quantity.PCIE_GENERATION_MAX, Quantity.THROTTLE},
    lacks=_WITHOUT,
    processes=_NO_PROCESSES,
)
AMDSMI: Final = Coverage(
    gives=(AMD_SMI.gives - {Quantity.MEMORY_FREE}) | {Quantity.RUNTIME},
    lacks=_WITHOUT,
    processes=_NO_PROCESSES,
)
ROCM_SMI: Final = Coverage(
    gives=(_all("rocm_smi") - {Quantity.ERRORS_UNCORRECTED})
    | {Quantity.PCIE_GENERATION, Quantity.PCIE_WIDTH, Quantity.DRIVER},
    lacks=_WITHOUT,
    processes=MappingProxyType(dict.fromkeys(Setting, Reason.UNSUPPORTED)),
)
