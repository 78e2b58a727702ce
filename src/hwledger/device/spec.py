"""DeviceSpec: one accelerator as planning needs it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One accelerator.

    Attributes:
        name: name in the catalogue.
        vendor: ``NVIDIA``, ``AMD``, ``Apple``, ``Intel`` …
        memory_bytes: what the vendor prints, as binary GiB.
        usable_bytes: what a program can allocate before anything else runs: the driver's total, or
            Apple's recommended working set.
        context_bytes: what one process's compute context takes of it before the first allocation.
        unified: the memory is shared with the host.
        bandwidth_bytes_per_second: peak memory bandwidth; ``None`` where not known.
        architecture: vendor's architecture name (``Ada``, ``CDNA3``).
        usable_basis: ``measured`` where a driver reported ``usable_bytes``, ``assumed`` otherwise.
        source: where the figures are from.
    """

    name: str
    vendor: str
    memory_bytes: int
    usable_bytes: int
    context_bytes: int = 0
    unified: bool = False
    bandwidth_bytes_per_second: int | None = None
    architecture: str = ""
    usable_basis: str = "assumed"
    source: str = ""
