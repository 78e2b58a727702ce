"""Which device a name means.

A name is a set of words: it fits a device when each of its words belongs to the device's name, to one of
its other names, or to what else may be said of it (its memory, its vendor, its slot). Words of the device
that were not typed make another product (``Ti``, ``Laptop``, ``Max-Q``), but memory sizes and the names of
product lines do not. Where several devices are left none is chosen: all are listed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final

from hwledger.device.printed import products_of
from hwledger.device.spec import DeviceSpec
from hwledger.device.table import Entry, entries, entry_called
from hwledger.device.words import INTEGRATED, SLICE, words_of
from hwledger.errors import AmbiguousError, UnknownOptionError, UsageError
from hwledger.units import GIB

MOST_LISTED: Final = 12
NEAREST: Final = 5
MOST_WORDS: Final = 24
MOST_LETTERS: Final = 200
MOST_SHOWN: Final = 60
MODEL_DIGITS: Final = 4  # a shorter bare number is a memory size

# Words of a name that people drop, by vendor: "4090", "7900 XTX", "Orin", "B60", "395".
_DROPPED: Final = {
    "NVIDIA": frozenset({"rtx", "gtx", "jetson", "agx", "dgx", "cmp"}),
    "AMD": frozenset({"rx", "pro", "ai", "ryzen", "max"}),
    "Intel": frozenset({"arc", "pro", "data", "center", "max", "flex"}),
    "Google": frozenset({"tpu"}),
}
_SUPER: Final = re.compile(r"(\d0[5-9]0|16[56]0)s")


_FAMILIES: Final = frozenset({"jetson"})  # dropped even where no number is left: "Orin Nano"


@dataclass(frozen=True, slots=True)
class _Known:
    """One spelling of a device: its words, what else may be typed, and what need not be."""

    entry: Entry
    words: frozenset[str]
    allowed: frozenset[str]
    dropped: frozenset[str]

    def fits(self, typed: frozenset[str]) -> bool:
        return typed <= self.words or typed <= self.words | self.allowed

    def plain(self, typed: frozenset[str]) -> bool:
        """Whether no word was left untyped that makes another product."""
        return all(_is_size(word) for word in self.words - typed - self.dropped)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of some devices, made ready to be searched."""

    known: tuple[_Known, ...]
    exact: dict[str, DeviceSpec] = field(hash=False)
    words: frozenset[str]  # of all names
    sayable: frozenset[str]  # these, and what else may be said of some device

    @classmethod
    def of(cls, listed: Iterable[Entry]) -> "Names":
        """Return the names of devices; the first of two that share one has it."""
        known: list[_Known] = []
        exact: dict[str, DeviceSpec] = {}
        for entry in listed:
            allowed = frozenset(word for words in entry.spellings for word in words) | _sayable(entry)
            for words in entry.spellings:
                known.append(_Known(entry, frozenset(words), allowed, _dropped(entry.device, words)))
                exact.setdefault("".join(words), entry.device)
        named = frozenset(word for spelling in known for word in spelling.words)
        return cls(tuple(known), exact, named, named.union(*(spelling.allowed for spelling in known)))

    def find(self, name: str) -> DeviceSpec:
        """Return the one device that a name means.

        Raises:
            AmbiguousError: the name fits several; they are listed.
            UnknownOptionError: it fits none; the nearest names are listed.
            UsageError: the device exists, but with other memory; the sizes are listed.
        """
        found = self.candidates(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousError(name[:MOST_SHOWN], _shortened([device.name for device in found]))
        raise self._unknown(name)

    def candidates(self, name: str) -> tuple[DeviceSpec, ...]:
        """Return every device that a name may mean: one where it is clear, none where it is unknown."""
        words = words_of(name[:MOST_LETTERS])
        if not any(len(word) > 1 for word in words) or len(words) > MOST_WORDS:
            return ()
        if found := self.exact.get("".join(words)):
            return (found,)
        for reading in _readings(words):
            if fitting := self._fitting(frozenset(reading)):
                return fitting
        longer = (device for typed in self._longer(words) for device in self._fitting(frozenset(typed)))
        return tuple(dict.fromkeys(longer))

    def _fitting(self, typed: frozenset[str], *, rare: bool = False) -> tuple[DeviceSpec, ...]:
        """Return what the words fit: the devices that leave no telling word untyped, else all."""
        if not typed <= self.sayable:
            return ()
        fitting = [known for known in self.known if known.fits(typed)]
        unsized = frozenset(word for word in typed if not _is_size(word))
        if unsized == typed and not rare:
            fitting = [known for known in fitting if not known.entry.rare] or fitting
        plain = [known for known in fitting if known.plain(typed)]
        if (
            fitting
            and not plain
            and unsized != typed
            and any(known.fits(unsized) and known.plain(unsized) for known in self.known)
        ):
            return ()  # "RTX 4090 16GB" is no laptop chip, but a size that an RTX 4090 does not have
        return tuple(dict.fromkeys(known.entry.device for known in plain or fitting))

    def _longer(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the words with the letters that one of them lacks: MI300 for MI300X and MI300A."""
        for word in words:
            if word not in self.words and word[-1:].isdigit():
                longer = sorted(k for k in self.words if k.startswith(word) and k[len(word) :].isalpha())
                yield from (tuple(k if w == word else w for w in words) for k in longer)

    def _unknown(self, name: str) -> UsageError:
        words = words_of(name[:MOST_LETTERS])
        for reading in _readings(words):
            sizes = [word for word in reading if _is_size(word)]
            typed = frozenset(reading) - set(sizes)
            if not self.sayable.union(words).issuperset(sizes):
                continue  # "GTX 970" asks for no 970 GB
            if sizes and (there := self._fitting(typed, rare=True)):
                return _other_size(sizes, there, self._sized(frozenset(reading)))
        if size := SLICE.search(name.lower()):
            return UsageError(
                f"{name[:MOST_SHOWN]!r} is a slice of a card; "
                f"give the memory that it has, like {size[1].upper()}"
            )
        if INTEGRATED.search(name.lower()):
            return UsageError(
                f"{name[:MOST_SHOWN]!r} uses the system's memory, so what it has depends on the machine; "
                "give the memory that it may use, like 16GiB, or describe it in devices.toml"
            )
        return UnknownOptionError("device", name[:MOST_SHOWN], self._nearest("".join(words)))

    def _sized(self, typed: frozenset[str]) -> list[str]:
        return list(dict.fromkeys(known.entry.device.name for known in self.known if known.fits(typed)))

    def _nearest(self, glued: str) -> Sequence[str]:
        from difflib import get_close_matches  # noqa: PLC0415 - start-up time

        near = get_close_matches(glued[:64], self.exact, NEAREST, 0.5)
        names = dict.fromkeys(self.exact[key].name for key in near)
        return (*names, "a memory size such as 24GiB", "or a device of your own in devices.toml")


@cache
def shipped_names() -> Names:
    """Return the names of the accelerators that ship with the package."""
    return Names.of(entries())


def _readings(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the words as they stand, then as people may mean them: ``M2 Pro 16``, ``4080s``."""
    yield words
    sizes = tuple(f"{word}gb" if word.isdigit() and len(word) < MODEL_DIGITS else word for word in words)
    yield sizes
    for suffix in ("super", ""):
        yield tuple(part for word in sizes for part in _without_s(word, suffix))


def _other_size(sizes: list[str], there: Sequence[DeviceSpec], further: list[str]) -> UsageError:
    """Return the error for a memory size that a device does not have."""
    memory = ", ".join(dict.fromkeys(_size(device).upper() for device in there))
    models = " or ".join(list(dict.fromkeys(re.sub(r" \d+GB$", "", device.name) for device in there))[:3])
    others = f"; {', '.join(further[:3])} has that much" if further else ""
    return UsageError(f"there is no {models} with {' '.join(sizes).upper()}; it has {memory}{others}")


def _without_s(word: str, suffix: str) -> Iterator[str]:
    if suffix and _SUPER.fullmatch(word):
        yield from (word[:-1], suffix)
    else:
        yield word[:-1] if not suffix and word.endswith("s") and word[-2:-1].isalnum() else word


@lru_cache(maxsize=1024)
def shipped_candidates(name: str) -> tuple[DeviceSpec, ...]:
    """Return what ``Names.candidates`` says of a name among the accelerators that ship."""
    if found := shipped_exact(name):
        return (found,)
    if products := products_of(name):
        return tuple(device for each in products if (device := shipped_exact(each)))
    return shipped_names().candidates(name) or _alternatives(name)


def _alternatives(name: str) -> tuple[DeviceSpec, ...]:
    """Return what a name with several in it may mean: ``MI250X / MI250``, ``RX 7900 XT/7900 XTX``."""
    parts = [part for part in name.split("/") if part.strip()] if "/" in name else []
    found = [device for part in parts[:NEAREST] for device in shipped_names().candidates(part)]
    several = tuple(dict.fromkeys(found))
    return several if len(several) > 1 else ()


def shipped_exact(name: str) -> DeviceSpec | None:
    """Return the accelerator that ships under exactly this name, whatever its spelling."""
    entry = entry_called("".join(words_of(name[:MOST_LETTERS])))
    return entry.device if entry else None


def find_shipped(name: str) -> DeviceSpec:
    """Return the one accelerator that ships and that a name means.

    Raises:
        AmbiguousError, UnknownOptionError, UsageError: as ``Names.find``.
    """
    found = shipped_candidates(name)
    if len(found) > 1:
        raise AmbiguousError(name[:MOST_SHOWN], _shortened([device.name for device in found]))
    return found[0] if found else shipped_names().find(name)


def _dropped(device: DeviceSpec, words: Sequence[str]) -> frozenset[str]:
    """Return the words that may be dropped: those of the product line, where a model number is left."""
    dropped = _DROPPED.get(device.vendor, frozenset())
    left = (word for word in words if word not in dropped and not _is_size(word))
    return dropped if any(map(_numbered, left)) else dropped & _FAMILIES


def _numbered(word: str) -> bool:
    return any(map(str.isdigit, word))


def _sayable(entry: Entry) -> frozenset[str]:
    """Return words that may be said of a device beside its name."""
    device, name = entry.device, entry.spellings[0]
    words = {_size(device), f"{round(device.memory_bytes * device.parts / GIB)}gb"}
    words |= _kind(device.memory_type, device.architecture)
    if device.category == "workstation":
        words |= {"workstation", "quadro"}
    if device.category == "datacentre":
        words |= {"data", "center"}
        words |= {"sxm", "hgx", "oam"} if device.link and not {"pcie", "nvl"} & {*name} else set()
    if device.pcie and not device.link and "sxm" not in name:
        words.add("pcie")
    return frozenset(words)


@cache
def _kind(memory_type: str, architecture: str) -> frozenset[str]:
    return frozenset(words_of(f"{memory_type} {architecture}"))


def _size(device: DeviceSpec) -> str:
    return f"{round(device.memory_bytes / GIB)}gb"


def _is_size(word: str) -> bool:
    return word.endswith("gb") and word[:-2].isdigit()


def _shortened(names: Iterable[str]) -> list[str]:
    listed = list(names)
    more = len(listed) - MOST_LISTED
    return [*listed[:MOST_LISTED], f"{more} more"] if more > 0 else listed
