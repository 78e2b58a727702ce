"""What a source can tell, and what it cannot, where: declared by the source, held by tests, drawn in docs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reason


class Setting(StrEnum):
    """Where a source runs, as far as that decides what it can tell."""

    BARE = "bare"
    CONTAINER = "container"
    WSL = "WSL"
    MIG = "MIG"
    UNIFIED = "unified"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a source can tell.

    Attributes:
        gives: quantities that it can give on a bare machine, whatever the device.
        lacks: what it cannot give in other settings, and why; a setting that is left out is like a bare
            machine, one that maps to a reason alone lacks everything.
        processes: why it does not tell which processes hold how much, by setting; settings that are left
            out tell it.
    """

    gives: frozenset[Quantity]
    lacks: Mapping[Setting, Mapping[Quantity, Reason] | Reason] = field(
        default_factory=lambda: MappingProxyType({})
    )
    processes: Mapping[Setting, Reason] = field(default_factory=lambda: MappingProxyType({}))

    def cell(self, quantity: Quantity, setting: Setting) -> Reason | None:
        """Return why a quantity is not told in a setting; ``None`` where it is told."""
        lacking = self.lacks.get(setting, {})
        if isinstance(lacking, Reason):
            return lacking
        return lacking.get(quantity, None if quantity in self.gives else Reason.UNSUPPORTED)
