"""What the speed model sees of a device: its family, what it shares with others, and its peaks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.throughput.assumptions import assumed

TENSOR: Final = 3.0
"""Tensor cores multiply fp16 at more than this many times the rate of the general cores."""
_MEMORY: Final = re.compile(r"HBM|GDDR|LPDDR")
_TIER: Final = re.compile(r"\b(Pro|Max|Ultra)\b")
FP4_PER_FP32: Final = 16.0
"""Dense rates of Blackwell's small chips: 1,676 and 104.8 TFLOP/s (RTX Blackwell whitepaper, RTX 5090)."""


@dataclass(frozen=True, slots=True)
class Silicon:
    """A device as the constants are keyed.

    Attributes:
        vendor: who made it.
        memory: kind of memory: ``HBM``, which a single stream fills less than ``GDDR``; ``LPDDR``.
        kind: vendor and kind of memory: ``AMD HBM``.
        family: architecture and kind of memory: ``Ampere GDDR``.
        tier: size class of an Apple chip (``Max``); empty elsewhere.
        bandwidth: peak of the memory in bytes per second.
        power: log2 of watts per peak TFLOP/s of fp32; 0 where not known.
        scalar: the chip multiplies neither int8 nor fp16 faster than fp32 (GPUs of before 2016, Tesla P100).
        rates: dense FLOP/s per number type.
        lane: bytes per second to another device by its slot, per direction; assumed where not known.
    """

    vendor: str
    memory: str
    kind: str
    family: str
    tier: str
    bandwidth: float
    power: float
    scalar: bool
    rates: tuple[tuple[str, float], ...]
    lane: float

    def rate(self, wanted: Sequence[str]) -> float | None:
        """Return the first known rate of ``wanted``; ``None`` where there is none."""
        known = dict(self.rates)
        return next((known[name] for name in wanted if name in known), None)

    @property
    def multiplying(self) -> float | None:
        """FLOP/s that prompts are held against: of the general cores; of Apple's matrix units, if any.

        The M5's units multiply fp16 at four times fp32 and MLX prefills with them 3.3 to 4.1 times as fast
        as on an M4 (machinelearning.apple.com, "Exploring LLMs with MLX and the neural accelerators").
        """
        fp32 = self.rate(("fp32", "fp16", "bf16"))
        if self.vendor != "Apple" or fp32 is None:
            return fp32
        return max(fp32, self.rate(("fp16",)) or 0.0)

    @property
    def fp32(self) -> float | None:
        """FLOP/s of the general cores."""
        return self.rate(("fp32",))


@lru_cache(maxsize=4096)
def silicon_of(device: DeviceSpec, power_share: float = 1.0) -> Silicon | None:
    """Return what the model sees of a device; ``None`` where its bandwidth is not known."""
    if not device.bandwidth_bytes_per_second:
        return None
    match = _MEMORY.match(device.memory_type)
    memory = match[0] if match else ""
    tier = _TIER.search(device.name) if device.vendor == "Apple" else None
    rates = dict(device.rates)
    if "fp32" not in rates and "fp4" in rates:
        rates["fp32"] = rates["fp4"] / FP4_PER_FP32
    fp32 = rates.get("fp32")
    board = device.power_watts or device.tdp_watts
    watts = board * power_share if board else None
    return Silicon(
        vendor=device.vendor,
        memory=memory,
        kind=f"{device.vendor} {memory}".strip(),
        family=f"{device.architecture or device.vendor} {memory}".strip(),
        tier=tier[1] if tier else "",
        bandwidth=float(device.bandwidth_bytes_per_second),
        power=log2(watts / (fp32 / 1e12)) if watts and fp32 else 0.0,
        scalar=device.vendor == "NVIDIA" and _is_scalar(rates),
        rates=tuple(rates.items()),
        lane=float(device.pcie_bytes_per_second or assumed("lane_bytes_per_second").value),
    )


def _is_scalar(rates: dict[str, float]) -> bool:
    known = {"int8", "fp8", "fp4"} & set(rates)
    return not known and rates.get("fp16", 0.0) < TENSOR * rates.get("fp32", 0.0)
