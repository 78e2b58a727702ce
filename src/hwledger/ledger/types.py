"""The types of events, as data: what each carries, by version, and how older versions are read as the newest.

A type that is not in the table is stored, chained and shown like any other; only its data is not checked.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hwledger.errors import MalformedError, UnknownOptionError
from hwledger.ledger.event import Event
from hwledger.shipped import shipped_text

PREFIX: Final = "fleet."
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "bool": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, Mapping),
    "hash": lambda value: isinstance(value, str) and bool(_HASH.fullmatch(value)),
}
_WORDS: Final = {
    "int": "a whole number",
    "hash": "64 hexadecimal digits",
    "map": "an object",
    "bool": "true or false",
}


@dataclass(frozen=True, slots=True)
class EventType:
    """One version of one type.

    Attributes:
        name: without prefix and version: ``host.enrolled``.
        version: counts from 1.
        data: kind by name; a kind with ``?`` may be absent. More than these may be there.
        about: a sentence for people.
    """

    name: str
    version: int
    data: Mapping[str, str]
    about: str

    @property
    def full_name(self) -> str:
        """Return what stands in the envelope: ``fleet.host.enrolled.v1``."""
        return f"{PREFIX}{self.name}.v{self.version}"


@dataclass(frozen=True, slots=True)
class Upcast:
    """One change that makes data of a version into data of the next.

    Attributes:
        type: the name of the type.
        version: the version that is changed into the next.
        change: ``rename`` (to ``value``), ``add`` (``value``, as JSON, where it is absent) or ``drop``.
        name: the name in the data.
        value: see ``change``.
    """

    type: str
    version: int
    change: str
    name: str
    value: str


@dataclass(frozen=True)
class Types:
    """A table of types and of changes between their versions."""

    known: Mapping[tuple[str, int], EventType]
    upcasts: tuple[Upcast, ...] = ()

    def newest(self, name: str) -> EventType | None:
        """Return the newest version of a type; ``None``: it is not known."""
        found = [one for (known, _), one in self.known.items() if known == name]
        return max(found, key=lambda one: one.version, default=None)

    def check(self, event: Event) -> None:
        """Hold the data of an event against its type; a type or version that is not known passes.

        Raises:
            MalformedError: something is absent, or of another kind.
        """
        name, version = split_type(event.type)
        known = self.known.get((name, version))
        for key, kind in known.data.items() if known else ():
            if key not in event.data:
                if not kind.endswith("?"):
                    raise MalformedError(f"event {event.id}: {event.type} needs {key!r} in its data")
            elif not _KINDS[kind.rstrip("?")](event.data[key]):
                wanted = _WORDS.get(kind.rstrip("?"), f"a {kind.rstrip('?')}")
                raise MalformedError(
                    f"event {event.id}: {key!r} of {event.type} is {wanted}, not {event.data[key]!r}"
                )

    def upcast(self, event: Event) -> tuple[str, int, Mapping[str, Any]]:
        """Return name, version and data of an event as the newest known version has them.

        What is not known, or newer than what is known, comes back as it is. The event itself never changes.
        """
        name, version = split_type(event.type)
        newest, data = self.newest(name), dict(event.data)
        while newest and version < newest.version:
            for one in self.upcasts:
                if (one.type, one.version) == (name, version):
                    _change(data, one)
            version += 1
        return name, version, data


def _change(data: dict[str, Any], one: Upcast) -> None:
    if one.change == "rename" and one.name in data:
        data[one.value] = data.pop(one.name)
    elif one.change == "add":
        data.setdefault(one.name, json.loads(one.value))
    elif one.change == "drop":
        data.pop(one.name, None)


def split_type(text: str) -> tuple[str, int]:
    """Return name, without the prefix, and version: ``("host.enrolled", 1)``."""
    name, _, version = text.rpartition(".v")
    return name.removeprefix(PREFIX), int(version)


def full_names(names: Iterable[str]) -> list[str]:
    """Return types as they stand in envelopes; a short name stands for all of its known versions.

    Raises:
        UnknownOptionError: a name without a version is not known.
    """
    table, found = shipped_types().known, []
    for name in names:
        known = [one.full_name for one in table.values() if one.name == name]
        if not known and ".v" not in name:
            raise UnknownOptionError("type of event", name, sorted({one.name for one in table.values()}))
        found += known or [name]
    return found


def read_types(types: Iterable[str], upcasts: Iterable[str] = ()) -> Types:
    """Return the table that two CSV files (as lines) hold.

    Raises:
        ValueError: a row is not as the others; the files ship, so it is a fault of the program.
    """
    known = {}
    for row in csv.DictReader(types):
        data = dict(pair.split(":") for pair in row["data"].split())
        unknown = {kind.rstrip("?") for kind in data.values()} - _KINDS.keys()
        if unknown:
            raise ValueError(f"{row['type']}: unknown kinds {unknown}")
        one = EventType(row["type"], int(row["version"]), data, row["about"])
        known[one.name, one.version] = one
    changes = tuple(_upcast(row) for row in csv.DictReader(upcasts))
    return Types(known, changes)


def _upcast(row: Mapping[str, str]) -> Upcast:
    if row["change"] not in {"rename", "add", "drop"}:
        raise ValueError(f"{row['type']}: unknown change {row['change']!r}")
    return Upcast(row["type"], int(row["from"]), row["change"], row["name"], row["value"])


@cache
def shipped_types() -> Types:
    """Return the table that ships."""
    types, upcasts = (
        shipped_text("hwledger.ledger", f"data/event_{name}.csv") for name in ("types", "upcasts")
    )
    return read_types(types.splitlines(), upcasts.splitlines())
