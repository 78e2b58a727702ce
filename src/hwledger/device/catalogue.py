"""Devices as people write them: ``2x H100 SXM``, ``RTX 3090 + RTX 3080 20GB``, ``DGX H100``, ``24GiB``.

A name matches whatever its case, spaces and dashes; vendor words may be left out. Where a name fits
several accelerators it is never chosen between: all are listed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hwledger.device.names import Names, find_shipped, shipped_candidates, shipped_exact
from hwledger.device.options import take_options, with_options
from hwledger.device.printed import plain_names
from hwledger.device.spec import DeviceSpec
from hwledger.device.table import Entry, entries
from hwledger.errors import AmbiguousError, UsageError
from hwledger.units import MIB, TIB, format_bytes, parse_size

if TYPE_CHECKING:
    from hwledger.device.node import Node

MOST_DEVICES: Final = 1024
MOST_LETTERS: Final = 200

_COUNT: Final = r"[x\u00d7*]"  # \u00d7 is the multiplication sign
# "2x H100" and "2 x H100", but no count in "7900 XTX".
_COUNT_FIRST: Final = re.compile(rf"(\d{{1,9}})(?:{_COUNT}\s*|\s+{_COUNT}\s+)(.+)", re.IGNORECASE)
_COUNT_LAST: Final = re.compile(rf"(.+?)(?:\s+|(?<=\d)|(?<=gb))\(?{_COUNT}\s*(\d{{1,6}})\)?", re.IGNORECASE)
_COUNT_LED: Final = re.compile(rf"{_COUNT}\s?(\d{{1,6}})\s+(.+)", re.IGNORECASE)
_COUNT_BARE: Final = re.compile(
    r"(\d{1,2}|one|single|dual|two|triple|three|quad|four|eight)\s+(.+)", re.IGNORECASE
)
_NUMBERS: Final = {
    "one": 1,
    "single": 1,
    "dual": 2,
    "two": 2,
    "triple": 3,
    "three": 3,
    "quad": 4,
    "four": 4,
    "eight": 8,
}
_MEMORY: Final = re.compile(r"[\d.]+\s*(?:[GMT]i?B|G)", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[,;&\n]|\band\b|(?<!max)\+(?!\s*$)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[dh]gx\b", re.IGNORECASE)
_ONE_PART: Final = re.compile(r"\s*\b(gcd|die|one of (two|four))\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Own:
    """What the user defined.

    Attributes:
        devices: with their names.
        nodes: of these and other devices.
    """

    devices: tuple[Entry, ...] = ()
    nodes: "tuple[Node, ...]" = ()


NOTHING: Final = Own()


def devices() -> tuple[DeviceSpec, ...]:
    """Return all accelerators of the catalogue, in its order."""
    return tuple(entry.device for entry in entries())


def find_device(name: str, own: Own = NOTHING) -> DeviceSpec:
    """Return the accelerator called ``name``, or an anonymous one for a plain memory size (``24GiB``).

    Args:
        name: as people write it, with options behind it: ``RTX 4090 power=300W``.
        own: what the user defined; it comes before what is in the catalogue.

    Raises:
        AmbiguousError: the name fits several; they are listed.
        UnknownOptionError: it fits none; the nearest names are listed.
        UsageError: a memory size or an option that the device does not have.
    """
    plain, options = take_options(name.strip()[:MOST_LETTERS])
    return with_options(_found(plain.strip(), own), options)


def find_candidates(name: str, own: Own = NOTHING) -> tuple[DeviceSpec, ...]:
    """Return every device that a name may mean, own ones first; empty where it means none."""
    return (own.devices and Names.of(own.devices).candidates(name)) or shipped_candidates(name)


def parse_devices(text: str, own: Own = NOTHING) -> tuple[DeviceSpec, ...]:
    """Return the accelerators that a list names, one by one; a card with two dies is two of them.

    A node in the list stands for its devices: ``DGX H100`` for eight.

    Raises:
        AmbiguousError, UnknownOptionError: as ``find_device``.
        UsageError: an empty part, or a count outside 1 to 1024.
    """
    found: list[DeviceSpec] = []
    for part in _BETWEEN.split(plain_names(text)):
        found += _devices_of(part.strip(), text, own)
        if len(found) > MOST_DEVICES:
            raise UsageError(f"{text!r} names more than {MOST_DEVICES} devices; name at most that many")
    return tuple(found)


def _devices_of(part: str, text: str, own: Own) -> list[DeviceSpec]:
    """Return what one part of a list names: of its readings, the first that means something."""
    if len(part) > MOST_LETTERS:
        raise UsageError(f"{part[:40]!r}… is too long for a device's name; divide devices by commas")
    plain, options = take_options(part)
    single = _ONE_PART.sub("", plain).strip()
    readings = [(count, name.strip()) for count, name in _readings(single)]
    if not all(name for _, name in readings):
        raise UsageError(f"{text!r} names no device in one place; write it like '2x H100 SXM, RTX 4090'")
    known = (reading for reading in readings if _means_something(reading[1], own))
    count, name = next(known, readings[min(1, len(readings) - 1)])
    if not 1 <= count <= MOST_DEVICES:
        raise UsageError(f"{part!r} asks for {count} devices; ask for 1 to {MOST_DEVICES}")
    if (node := _node(name, own, count)) is not None:
        return [with_options(device, options) for device in node.devices * count]
    device = _found(name, own, count)
    return [with_options(device, options)] * (count * (device.parts if single == plain.strip() else 1))


def _node(name: str, own: Own, count: int) -> "Node | None":
    """Return the node of that name: before a device where it says so, else where no device has the name."""
    if shipped_exact(name) or _MEMORY.fullmatch(name):
        return None
    whole = count == 1 and _WHOLE.match(name)
    if not (own.nodes or whole) and find_candidates(name, own):
        return None
    from hwledger.device.node import find_node  # noqa: PLC0415 - it needs this module

    return find_node(name, own.nodes)


def _readings(part: str) -> Iterator[tuple[int, str]]:
    """Yield a count and a name, as the part may be read: ``7900xtx``, ``2x T4``, ``4090 x4``."""
    yield 1, part
    if match := _COUNT_FIRST.fullmatch(part) or _COUNT_LED.fullmatch(part):
        yield int(match[1]), match[2]
    if match := _COUNT_LAST.fullmatch(part):
        yield int(match[2]), match[1]
    if match := _COUNT_BARE.fullmatch(part):
        yield _NUMBERS.get(match[1].lower()) or int(match[1]), match[2]


def _means_something(name: str, own: Own) -> bool:
    return bool(_MEMORY.fullmatch(name) or find_candidates(name, own) or _node(name, own, 1))


def _found(name: str, own: Own, count: int = 1) -> DeviceSpec:
    if _MEMORY.fullmatch(name):
        return _anonymous(name)
    if own.devices and (mine := Names.of(own.devices)).candidates(name):
        return mine.find(name)
    try:
        return find_shipped(name)
    except AmbiguousError:
        board = _sold_together(name, count)
        if board is None:
            raise
        return board


def _sold_together(name: str, count: int) -> DeviceSpec | None:
    """Return the one device of that name of which so many are sold as one board: 8x H100 is SXM."""
    from hwledger.device.node import shipped_nodes  # noqa: PLC0415 - it needs this module

    sold = {node.devices[0].name for node in shipped_nodes() if len(node.devices) == count > 1}
    fitting = [device for device in shipped_candidates(name) if device.name in sold]
    return fitting[0] if len(fitting) == 1 else None


def _anonymous(text: str) -> DeviceSpec:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no device: {error}") from None
    if not MIB <= size <= TIB:
        raise UsageError(f"no device has {text} of memory; give 1MiB to 1TiB")
    return DeviceSpec(
        name=f"any {format_bytes(size)}", vendor="any", memory_bytes=size, usable_bytes=size,
        source="memory size given by the user, all of it usable",
    )  # fmt: skip
