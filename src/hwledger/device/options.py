"""What a user says of a device beside its name: ``RTX 4090 power=300W``, ``M2 Ultra 192GB wired=180GiB``."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Final

from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import DeviceSpec
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.units import MIB, TIB, format_bytes, parse_size, whole_number

MOST_WATTS: Final = 100_000
LEAST_SHARE: Final = 0.2
MOST_SHARE: Final = 1.5
"""Power limits as a share of the board power: drivers offer no less and no more."""
_OPTION: Final = re.compile(r"\s+(?P<key>[a-z_]+)\s*=\s*(?P<value>[^\s=]+)$", re.IGNORECASE)
_POWER: Final = re.compile(r"\s*@\s*(?P<watts>\d+(?:\.\d+)?)\s*W$", re.IGNORECASE)


def take_options(text: str) -> tuple[str, dict[str, str]]:
    """Return a name without the options behind it, and the options."""
    options: dict[str, str] = {}
    while match := _OPTION.search(text):
        options.setdefault(match["key"].lower(), match["value"])
        text = text[: match.start()]
    if match := _POWER.search(text):
        options.setdefault("power", match["watts"])
        text = text[: match.start()]
    return text, options


def with_options(device: DeviceSpec, options: dict[str, str]) -> DeviceSpec:
    """Return a device as its options make it.

    Raises:
        UnknownOptionError: an option that does not exist.
        UsageError: a value that it cannot have.
    """
    for key, value in options.items():
        if key not in _OPTIONS:
            raise UnknownOptionError("option of a device", key, sorted(_OPTIONS))
        device = _OPTIONS[key](device, value)
    return device


def kept_free(devices: Sequence[DeviceSpec], reserve_bytes: int) -> tuple[DeviceSpec, ...]:
    """Return devices of each of which so much less is usable."""

    def less(device: DeviceSpec) -> DeviceSpec:
        kept = min(device.usable_bytes, reserve_bytes)
        return replace(device, usable_bytes=device.usable_bytes - kept, reserved_bytes=kept)

    return tuple(map(less, devices))


def wired(device: DeviceSpec, value: str) -> DeviceSpec:
    """Return a Mac whose GPU may wire this much: ``sysctl iogpu.wired_limit_mb``, MiB where no unit is said.

    The recommended working set follows the sysctl (measured: github.com/antirez/ds4/pull/893 and
    github.com/AlexsJones/llmfit/pull/754); 0 is the system's own limit.
    """
    if device.vendor != "Apple":
        raise UsageError(f"{device.name} has no wired limit, Macs have; give usable= for its usable memory")
    stated = whole_number(value)
    size = _size("wired", value) if stated is None else stated * MIB
    if size == 0:
        return device
    return _usable(device, size, f"iogpu.wired_limit_mb={size // MIB}, set by the user")


def usable(device: DeviceSpec, value: str) -> DeviceSpec:
    """Return a device of which programs can use this much."""
    return _usable(device, _size("usable", value), "said by the user")


def reserved(device: DeviceSpec, value: str) -> DeviceSpec:
    """Return a device of which this much is kept for others: a desktop, another process."""
    size = _size("reserve", value)
    left = device.usable_bytes - size
    if left < MIB:
        raise UsageError(f"{device.name} has {format_bytes(device.usable_bytes)}; reserve less than that")
    why = f"{format_bytes(size)} of it reserved by the user; {device.usable_source}"
    return replace(device, usable_bytes=left, usable_source=why.rstrip("; "))


def power(device: DeviceSpec, value: str) -> DeviceSpec:
    """Return a device that may draw this many watts."""
    try:
        watts = round(float(value.lower().removesuffix("w")))
    except (ValueError, OverflowError):
        watts = 0
    if not 1 <= watts <= MOST_WATTS:
        raise UsageError(f"{value!r} is no power limit; write it like power=300W")
    board = device.tdp_watts
    if board and not LEAST_SHARE * board <= watts <= MOST_SHARE * board:
        least, most = ceil(LEAST_SHARE * board), floor(MOST_SHARE * board)
        raise UsageError(
            f"{device.name} draws {board} W, and no driver limits it to {watts} W; give {least} to {most} W"
        )
    return replace(device, power_watts=watts)


def pcie(device: DeviceSpec, value: str) -> DeviceSpec:
    """Return a device in this slot: ``4.0x4``, ``gen3x16``."""
    bandwidth = pcie_bandwidth(value)
    if bandwidth is None:
        raise UsageError(f"{value!r} is no PCIe slot; write it like pcie=4.0x8")
    slot = re.sub(r"^\D*(\d)(?:\.0)?\s*x\s*(\d+)$", r"\1.0 x\2", value.lower())
    return replace(device, pcie=slot, pcie_bytes_per_second=bandwidth)


_OPTIONS: Final[dict[str, Callable[[DeviceSpec, str], DeviceSpec]]] = {
    "wired": wired, "usable": usable, "reserve": reserved, "power": power, "pcie": pcie,
}  # fmt: skip


def _usable(device: DeviceSpec, size: int, why: str) -> DeviceSpec:
    if not MIB <= size <= device.memory_bytes:
        raise UsageError(
            f"{device.name} has {format_bytes(device.memory_bytes)}; "
            f"{format_bytes(size)} of it cannot be usable, give 1MiB to that"
        )
    return replace(device, usable_bytes=size, usable_basis="exact", usable_source=why)


def _size(key: str, value: str) -> int:
    try:
        size = parse_size(value)
    except ValueError as error:
        raise UsageError(f"{key}={value}: {error}") from None
    if size > TIB:
        raise UsageError(f"{key}={value}: no device has that much; give at most 1TiB")
    return size
