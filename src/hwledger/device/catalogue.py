"""The accelerators that ship with the package, and reading what people type for them.

A name matches whatever its case, spaces and dashes; vendor words may be left out. Where a name fits
several accelerators it is never chosen between: all are listed.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import RATE_TYPES, DeviceSpec
from hwledger.errors import AmbiguousError, UnknownOptionError, UsageError
from hwledger.units import GIB, MIB, TIB, format_bytes, parse_size

MOST_DEVICES: Final = 1024
MOST_LISTED: Final = 12
NEAREST: Final = 5

# Columns of the table that are fields as they stand.
_TEXTS: Final = (
    "name", "vendor", "category", "architecture", "compute_capability", "memory_type", "usable_basis",
    "context_basis", "link", "bridge", "pcie", "source", "usable_source", "context_source",
)  # fmt: skip
_NUMBERS: Final = (
    "units", "memory_bytes", "usable_bytes", "context_bytes", "bandwidth_bytes_per_second",
    "link_bytes_per_second", "bridge_bytes_per_second", "tdp_watts", "released",
)  # fmt: skip

_VENDOR_WORDS: Final = frozenset(
    {
        "nvidia",
        "amd",
        "intel",
        "apple",
        "geforce",
        "tesla",
        "radeon",
        "instinct",
        "quadro",
        "generation",
        "gpu",
    }
)
# Words that name a product line and that people drop: "4090", "7900 XTX", "A770".
_LINE_WORDS: Final = frozenset({"rtx", "gtx", "rx", "arc", "data", "center"})
# "2x H100" and "2 x H100", but no count in "7900 XTX"; \u00d7 is the multiplication sign.
_COUNT_FIRST: Final = re.compile(r"(\d{1,6})(?:[x\u00d7*]\s*|\s+[x\u00d7*]\s+)(.+)", re.IGNORECASE)
_COUNT_LAST: Final = re.compile(r"(.+?)\s+[x\u00d7*]\s*(\d{1,6})", re.IGNORECASE)
_MEMORY: Final = re.compile(r"[\d.]+\s*[GMT]i?B?", re.IGNORECASE)
_SPELLINGS: Final = (
    (re.compile(r"(\d+)\s*g(?:i?b)?\b"), r"\1gb"),  # 80 GB, 80G, 80GiB
    (re.compile(r"\bsxm\d\b"), "sxm"),
    (re.compile(r"\bmobile\b"), "laptop"),
    (re.compile(r"(\d)(ti|super|xtx|xt|gre|d)\b"), r"\1 \2"),  # 4060Ti
    (re.compile(r"\b(rtx|gtx|rx|titan|arc)(?=\d|[ab]\d)"), r"\1 "),  # RTX4090
    (re.compile(r"\b(m\d)(pro|max|ultra)\b"), r"\1 \2"),  # M3Max
)


def devices() -> tuple[DeviceSpec, ...]:
    """Return all accelerators of the catalogue, in its order."""
    return tuple(device for device, _ in _rows())


def find_device(name: str) -> DeviceSpec:
    """Return the accelerator called ``name``, or an anonymous one for a plain memory size (``24GiB``).

    Raises:
        AmbiguousError: the name fits several; they are listed.
        UnknownOptionError: it fits none; the nearest names are listed.
        UsageError: a memory size that no device has.
    """
    if _MEMORY.fullmatch(name.strip()):
        return _anonymous(name.strip())
    words = _words(name)
    exact, table = _index()
    if found := exact.get("".join(words)):
        return found
    telling = any(len(word) > 1 for word in words)
    fitting = [(known, device) for known, device in table if telling and set(words) <= known]
    # A word that was not typed and is no memory size makes another product: "4090" is no laptop chip.
    plain = [d for known, d in fitting if all(_is_size(w) or w in _LINE_WORDS for w in known - set(words))]
    candidates = plain or [device for _, device in fitting]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise AmbiguousError(name, _shortened([device.name for device in candidates]))
    raise UnknownOptionError("device", name, _nearest("".join(words)))


def parse_devices(text: str) -> tuple[DeviceSpec, ...]:
    """Return the accelerators that a list names: ``2x H100 SXM``, ``RTX 3090, RTX 3080 20GB``, ``24GiB``.

    Raises:
        AmbiguousError, UnknownOptionError: as ``find_device``.
        UsageError: an empty part, or a count outside 1 to 1024.
    """
    found: list[DeviceSpec] = []
    for part in text.split(","):
        count, name = _counted(part.strip(), text)
        found += [find_device(name)] * count
        if len(found) > MOST_DEVICES:
            raise UsageError(f"{text!r} names more than {MOST_DEVICES} devices; name at most that many")
    return tuple(found)


def _counted(part: str, text: str) -> tuple[int, str]:
    first, last = _COUNT_FIRST.fullmatch(part), _COUNT_LAST.fullmatch(part)
    count, name = (first[1], first[2]) if first else (last[2], last[1]) if last else ("1", part)
    if not name.strip():
        raise UsageError(f"{text!r} names no device in one place; write it like '2x H100 SXM, RTX 4090'")
    if not 1 <= int(count) <= MOST_DEVICES:
        raise UsageError(f"{part!r} asks for {count} devices; ask for 1 to {MOST_DEVICES}")
    return int(count), name.strip()


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


def _words(name: str) -> tuple[str, ...]:
    text = re.sub(r"[\s_()\[\]/-]+", " ", name.lower())
    for pattern, better in _SPELLINGS:
        text = pattern.sub(better, text)
    return tuple(word for word in text.split() if word not in _VENDOR_WORDS)


def _is_size(word: str) -> bool:
    return word.endswith("gb") and word[:-2].isdigit()


@cache
def _rows() -> tuple[tuple[DeviceSpec, tuple[str, ...]], ...]:
    """Every accelerator with its aliases."""
    text = files("hwledger.device").joinpath("data/accelerators.csv").read_text("utf-8")
    return tuple((_device(row), _split(row["aliases"])) for row in csv.DictReader(text.splitlines()))


def _device(row: dict[str, str]) -> DeviceSpec:
    return DeviceSpec(
        **{column: row[column] for column in _TEXTS},  # type: ignore[arg-type] # the columns are the fields
        **{column: int(row[column]) for column in _NUMBERS if row[column]},  # type: ignore[arg-type]
        unified=row["unified"] == "yes", pcie_bytes_per_second=pcie_bandwidth(row["pcie"]),
        rates={kind: float(row[f"{kind}_tera"]) * 1e12 for kind in RATE_TYPES if row[f"{kind}_tera"]},
    )  # fmt: skip


def _split(aliases: str) -> tuple[str, ...]:
    return tuple(alias.strip() for alias in aliases.split(";") if alias.strip())


@cache
def _index() -> tuple[dict[str, DeviceSpec], list[tuple[frozenset[str], DeviceSpec]]]:
    """Devices by glued name and alias, and the words that each answers to."""
    exact: dict[str, DeviceSpec] = {}
    table: list[tuple[frozenset[str], DeviceSpec]] = []
    for device, aliases in _rows():
        words = _words(device.name)
        size = f"{round(device.memory_bytes / GIB)}gb"
        table.append((frozenset((*words, size)), device))
        for spelling in (words, *map(_words, aliases)):
            exact.setdefault("".join(spelling), device)
            exact.setdefault("".join(w for w in spelling if w not in _LINE_WORDS), device)
    return exact, table


def _nearest(glued: str) -> Sequence[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    exact, _ = _index()
    near = get_close_matches(glued, exact, NEAREST, 0.5)
    names = dict.fromkeys(exact[key].name for key in near)
    return (*names, "a memory size such as 24GiB")


def _shortened(names: Iterable[str]) -> list[str]:
    listed = list(names)
    more = len(listed) - MOST_LISTED
    return [*listed[:MOST_LISTED], f"{more} more"] if more > 0 else listed
