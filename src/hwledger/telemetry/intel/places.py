"""Which files of a card of i915 or xe are there: kernels and parts differ."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hwledger.telemetry.drm.cards import Card, sensor_files
from hwledger.telemetry.drm.link import slot_of
from hwledger.telemetry.intel.names import rows
from hwledger.telemetry.system import System

_SENSOR: Final = re.compile(r"(?:energy|power|temp|fan)[0-9]{1,2}_(?:input|max|label)")
_PART_OF_IT: Final = re.compile(r"\w+_gt[0-9]+")
"""i915's sensors of one engine block, beside those of the card."""
_LINK: Final = ("current_link_speed", "max_link_speed", "current_link_width", "max_link_width")


def files_of(system: System, card: Card) -> Iterator[tuple[str, Path]]:
    """Yield the files of a card that are there, by the names of ``of_files``."""
    root = card.folder.parent
    named = dict.fromkeys(place for row in rows("sysfs") for place in row["at"])
    yield from ((name, root / name) for name in named if not name.startswith("slot/") and _is(root / name))
    slot = slot_of(system, card.folder, card.vendor)
    yield from ((f"slot/{name}", slot / name) for name in _LINK if _is(slot / name))
    for pattern in ("device/tile*/physical_vram_size_bytes", "device/tile*/memory/physical_vram_size_bytes",
                    "lmem_*_bytes", "device/lmem_*_bytes"):  # fmt: skip
        yield from ((str(path.relative_to(root)), path) for path in _globbed(root, pattern))
    for pattern in ("device/tile0/gt0/freq0/throttle/reason_*", "gt/gt0/throttle_reason_*"):
        yield from ((f"throttle/{path.name}", path) for path in _globbed(root, pattern))
    yield from _sensors(system, card)
    yield from _debug(system, card)


def _sensors(system: System, card: Card) -> Iterator[tuple[str, Path]]:
    for path in sensor_files(card.folder):
        if _SENSOR.fullmatch(path.name) and not _PART_OF_IT.fullmatch(_said(system, path.parent / "name")):
            yield f"hwmon/{path.name}", path


def _debug(system: System, card: Card) -> Iterator[tuple[str, Path]]:
    """Yield files of the debug file system; where it may not be looked into, the one that xe always has."""
    for name in (card.key, str(card.number)):
        folder = system.sysfs / "kernel" / "debug" / "dri" / name
        found = [*_globbed(folder, "tile*/vram_mm"), *_globbed(folder, "vram?_mm")]
        if found:
            yield from ((f"debug/{path.relative_to(folder)}", path) for path in found)
            return
    if card.driver == "xe" and _locked(system.sysfs / "kernel" / "debug"):
        yield (
            "debug/tile0/vram_mm",
            system.sysfs / "kernel" / "debug" / "dri" / card.key / "tile0" / "vram_mm",
        )


def _said(system: System, path: Path) -> str:
    told = system.read(path)
    return told if isinstance(told, str) else ""


def _globbed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _is(path: Path) -> bool:
    """Return whether a file is there, be it that it may not be read."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _locked(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
