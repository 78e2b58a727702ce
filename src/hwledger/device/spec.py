"""DeviceSpec: one accelerator as planning needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RATE_TYPES: Final = ("fp32", "fp16", "fp16_acc16", "bf16", "fp8", "fp4", "int8")


@dataclass(frozen=True, slots=True)
class Price:
    """What a device cost.

    Attributes:
        amount: money for one device.
        currency: ISO code, like ``USD``.
        date: when that was the price, as ``2024`` or ``2024-05-31``.
        source: who asked or reported it.
    """

    amount: float
    currency: str
    date: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One accelerator.

    Attributes:
        name: name in the catalogue.
        parts: how many devices a card shows up as; every other figure is of one of them.
        vendor: ``NVIDIA``, ``AMD``, ``Apple``, ``Intel`` …
        memory_bytes: what the vendor prints, as binary GiB.
        usable_bytes: what a program can allocate before anything else runs: the driver's total, or
            Apple's recommended working set.
        context_bytes: what one process's compute context takes of it before the first allocation.
        unified: the memory is shared with the host.
        bandwidth_bytes_per_second: peak memory bandwidth; ``None`` where not known.
        architecture: vendor's architecture name (``Ada Lovelace``, ``CDNA 3``).
        usable_basis, context_basis: ``measured`` where a driver reported it, ``assumed`` otherwise.
        source, usable_source, context_source: where the figures are from.
        rates: dense FLOP/s (OP/s for ``int8``) per number type, sparsity never: ``fp32``; ``fp16`` and
            ``bf16`` summed in fp32; ``fp16_acc16`` summed in fp16; ``fp8``, ``fp4``, ``int8``. A type that
            is absent is not known or not there. Where fp16 is widened first, ``fp16`` is the fp32 rate.
        category: ``geforce``, ``laptop``, ``workstation``, ``datacentre``, ``radeon``, ``arc``, ``apple``,
            ``apu``, ``embedded``, ``desktop-soc``, ``tpu``, ``asic``.
        compute_capability: NVIDIA's, like ``8.9``; empty elsewhere.
        units: streaming multiprocessors, compute units, Xe cores or GPU cores; ``None`` where not known.
        memory_type: ``GDDR6X``, ``HBM3``, ``LPDDR5X`` …
        link, link_bytes_per_second: what joins the device to its peers beside PCIe, and its bandwidth per
            direction to all of them together; ``None`` where there is only PCIe.
        bridge, bridge_bytes_per_second: the same of a bridge that can be bought for pairs of cards; a pair
            has it only where it is said.
        pcie: generation and lanes, like ``4.0 x16``; empty where not known.
        pcie_bytes_per_second: its bandwidth per direction.
        tdp_watts: board power as shipped.
        power_watts: the limit that the user sets; ``None``: as shipped.
        reserved_bytes: what the user keeps free; it is off ``usable_bytes`` already.
        released: year.
        price: what it cost; ``None`` where not known.
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
    rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    category: str = ""
    compute_capability: str = ""
    units: int | None = None
    memory_type: str = ""
    link: str = ""
    link_bytes_per_second: int | None = None
    bridge: str = ""
    bridge_bytes_per_second: int | None = None
    pcie: str = ""
    pcie_bytes_per_second: int | None = None
    tdp_watts: int | None = None
    released: int | None = None
    price: Price | None = None
    context_basis: str = "assumed"
    usable_source: str = ""
    context_source: str = ""
    parts: int = 1
    power_watts: int | None = None
    reserved_bytes: int = 0
