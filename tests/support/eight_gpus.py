"""A host with eight GPUs under load, whose sensors jitter as real ones do."""

import random
from datetime import UTC, datetime
from types import MappingProxyType

from hwledger.fleet.agent.sampling import MEASURED, MEASURED_HOST
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Readings, Value
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Snapshot

GIB = 1 << 30
_Q = Quantity
_ABOUT: dict[Quantity, tuple[float, float]] = {
    _Q.MEMORY_USED: (71 * GIB, 1 << 21), _Q.UTILIZATION: (0.9, 0.08), _Q.MEMORY_ACTIVITY: (0.5, 0.1),
    _Q.TEMPERATURE: (66, 1.5), _Q.TEMPERATURE_MEMORY: (82, 1.5), _Q.FAN: (0.6, 0.01), _Q.POWER: (640, 30),
    _Q.POWER_LIMIT: (700, 0), _Q.CLOCK: (1_755_000_000, 15_000_000), _Q.CLOCK_MEMORY: (2_619_000_000, 0),
    _Q.PCIE_RECEIVED: (3e8, 2e8), _Q.PCIE_SENT: (2e8, 1e8), _Q.ERRORS_UNCORRECTED: (0, 0),
    _Q.HOST_MEMORY_AVAILABLE: (900 * GIB, 1 << 24), _Q.SWAP_USED: (0, 0), _Q.CPU_UTILIZATION: (0.3, 0.05),
    _Q.CPU_POWER: (310, 12), _Q.CPU_TEMPERATURE: (61, 1), _Q.LOAD: (31, 4),
}  # fmt: skip
"""Where each sensor is, and how much it jitters: those of an H100 SXM that serves requests."""


class EightGpus:
    """Gives a snapshot each time that it is called."""

    def __init__(self, seed: int = 1, gpus: int = 8) -> None:
        self._chance = random.Random(seed)
        self._gpus = gpus
        self._energy = [0.0] * gpus

    def __call__(self) -> Snapshot:
        """Return what is seen now."""
        devices = tuple(
            DeviceSnapshot(
                f"0000:{16 * (number + 1):02x}:00.0", "NVIDIA H100 80GB HBM3", "NVIDIA", index=number,
                uuid=f"GPU-{number:08x}-0000-0000-0000-000000000000", readings=self._device(number),
            )
            for number in range(self._gpus)
        )  # fmt: skip
        host = HostSnapshot("AMD EPYC 9654", "Linux 6.8", self._host())
        return Snapshot(datetime(2025, 11, 25, tzinfo=UTC), 0.0, host, devices)

    def _device(self, number: int) -> Readings:
        found = {quantity: self._value(quantity) for quantity in MEASURED if quantity is not _Q.ENERGY}
        self._energy[number] += 10 * self._chance.gauss(640, 30)
        found[_Q.ENERGY] = Value(int(self._energy[number]), MEANINGS[_Q.ENERGY].unit, "NVML")
        fixed = {
            _Q.MEMORY_TOTAL: Value(80 * GIB, Unit.BYTES, "NVML"),
            _Q.DRIVER: Value("570.86.15", MEANINGS[_Q.DRIVER].unit, "NVML"),
        }
        return MappingProxyType({**found, **fixed})

    def _host(self) -> Readings:
        found = {quantity: self._value(quantity) for quantity in MEASURED_HOST}
        total = {_Q.HOST_MEMORY_TOTAL: Value(1024 * GIB, Unit.BYTES, "host")}
        return MappingProxyType({**found, **total})

    def _value(self, quantity: Quantity) -> Value:
        about, jitter = _ABOUT[quantity]
        return Value(max(0.0, self._chance.gauss(about, jitter)), MEANINGS[quantity].unit, "NVML")
