"""The live sources of a Mac: ``macmon`` where it is installed; ``ioreg`` and ``sysctl``, which always are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hwledger.telemetry.apple.ioreg import read_ioreg
from hwledger.telemetry.apple.macmon import read_macmon
from hwledger.telemetry.apple.names import KEY, VENDOR
from hwledger.telemetry.coverage import Coverage, Setting
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, HostSnapshot, Sample
from hwledger.telemetry.system import Ran, System
from hwledger.units import MIB, whole_number

Q = Quantity
MACMON: Final = "macmon"
APPLE: Final = "apple"
SPAWNED: Final = Pace(least_seconds=15.0, processes_seconds=15.0)
NO_MAC: Final = Absent(Reason.UNSUPPORTED, "this is no Mac with Apple Silicon")
NO_LIST: Final = Absent(Reason.UNSUPPORTED, "macOS does not tell which process holds it", APPLE)
_NOT_HERE: Final = dict.fromkeys((Setting.CONTAINER, Setting.WSL, Setting.MIG), Reason.UNSUPPORTED)
_NO_PROCESSES: Final = dict.fromkeys(Setting, Reason.UNSUPPORTED)


class MacmonSampler:
    """``macmon pipe``, one sample a call; satisfies ``Sampler``."""

    name = MACMON
    vendor = VENDOR
    coverage = Coverage(
        gives=frozenset({
            Q.CLOCK, Q.UTILIZATION, Q.POWER, Q.TEMPERATURE, Q.HOST_MEMORY_TOTAL, Q.HOST_MEMORY_AVAILABLE,
            Q.SWAP_TOTAL, Q.SWAP_USED, Q.CPU_UTILIZATION, Q.CPU_POWER, Q.CPU_TEMPERATURE,
        }),
        lacks=_NOT_HERE, processes=_NO_PROCESSES,
    )  # fmt: skip
    pace = SPAWNED
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System) -> None:
        self._system = system

    def check(self) -> Check:
        """Return whether macmon is installed."""
        if self._system.platform != "darwin":
            return _no_mac(MACMON)
        ran = self._system.run([MACMON, "--version"], 5.0)
        if isinstance(ran, Absent):
            remedy = "brew install macmon: it needs no root"
            return Check(MACMON, works=False, found=ran.detail, remedy=remedy, reason=ran)
        return Check(MACMON, works=True, found=ran.out.strip()[:80] or MACMON)

    def sample(self, *, processes: bool) -> Sample:
        """Return one sample of half a second."""
        del processes  # macmon knows none
        ran = self._system.run([MACMON, "pipe", "-s", "1", "-i", "500"], 10.0)
        return _read(ran, MACMON, lambda out: read_macmon(out, self._system.clock()))

    def close(self) -> None:
        """Nothing is held."""


class AppleSampler:
    """``ioreg`` and ``sysctl``; satisfies ``Sampler``."""

    name = APPLE
    vendor = VENDOR
    coverage = Coverage(
        gives=frozenset({Q.MEMORY_TOTAL, Q.MEMORY_USED, Q.UTILIZATION, Q.WIRED_LIMIT, Q.TEMPERATURE, Q.POWER,
                         Q.MEMORY_FREE, Q.CLOCK, Q.CLOCK_MEMORY, Q.FAN}),
        lacks={**_NOT_HERE, Setting.UNIFIED: dict.fromkeys(
            (Q.MEMORY_FREE, Q.TEMPERATURE, Q.POWER, Q.CLOCK, Q.CLOCK_MEMORY, Q.FAN), Reason.UNSUPPORTED)},
        processes=_NO_PROCESSES,
    )  # fmt: skip
    pace = SPAWNED
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System) -> None:
        self._system = system

    def check(self) -> Check:
        """Return whether this is a Mac."""
        if self._system.platform != "darwin":
            return _no_mac(APPLE)
        return Check(APPLE, works=True, found="ioreg and sysctl, which are part of macOS")

    def sample(self, *, processes: bool) -> Sample:
        """Return the GPUs with what they have in use, and the wired limit."""
        del processes  # macOS tells of none
        at = self._system.clock()
        ran = self._system.run(["ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"], 10.0)
        sample = _read(ran, APPLE, lambda out: read_ioreg(out, at))
        asked = self._system.run(["sysctl", "-n", "hw.memsize", "iogpu.wired_limit_mb"], 5.0)
        told = asked.out.split() if isinstance(asked, Ran) else []
        size = whole_number(told[0]) if told else None
        devices = tuple(_with_total(device, size, at) for device in sample.devices)
        return replace(sample, devices=devices, host=HostSnapshot(readings={Q.WIRED_LIMIT: _wired(told, at)}))

    def close(self) -> None:
        """Nothing is held."""


def macmon_sampler(system: System) -> MacmonSampler:
    """Return the sampler of macmon."""
    return MacmonSampler(system)


def apple_sampler(system: System) -> AppleSampler:
    """Return the sampler of what macOS has itself."""
    return AppleSampler(system)


def _with_total(device: DeviceSnapshot, size: int | None, at: float) -> DeviceSnapshot:
    """Return Apple's own GPU with the machine's memory as its total: it is the same memory."""
    if device.key != KEY or size is None:
        return device
    total = checked(Gauge("sysctl", at), Q.MEMORY_TOTAL, size)
    return replace(device, readings={**device.readings, Q.MEMORY_TOTAL: total}, processes=NO_LIST)


def _wired(told: list[str], at: float) -> Reading:
    gauge = Gauge("sysctl iogpu.wired_limit_mb", at)
    limit = whole_number(told[1]) if len(told) > 1 else None
    if limit is None:
        return gauge.absent(Reason.UNSUPPORTED, "this version of macOS does not tell it")
    if limit == 0:
        return gauge.absent(Reason.UNSUPPORTED, "it is not set by hand: the system's own limit holds")
    return checked(gauge, Q.WIRED_LIMIT, limit * MIB)


def _no_mac(name: str) -> Check:
    return Check(name, works=False, found=NO_MAC.detail, remedy="nothing is to be done", reason=NO_MAC)


def _read(ran: Ran | Absent, name: str, read: Callable[[str], Sample]) -> Sample:
    if isinstance(ran, Absent):
        return Sample(troubles=(f"{name}: {ran.detail}",), failure=ran)
    if ran.code and not ran.out.strip():
        why = " ".join(ran.err.split())[:200] or f"exit code {ran.code}"
        failure = Absent(Reason.UNPARSED, why, name)
        return Sample(troubles=(f"{name}: {why}",), failure=failure)
    return read(ran.out)
