"""The record of installed catalogues: which there are, which one is in force, and how that came about.

``state.json`` lies beside the catalogues, each of which is named after the SHA-256 of its bytes. Catalogues
are only ever added and the record is replaced whole, so a change that is cut short leaves the one before.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, cast

from hwledger.errors import InputError, MalformedError
from hwledger.library.catalogue.active import STATE

SCHEMA: Final = "hwledger.catalogue-state/1"
SHIPPED: Final = "shipped"
WAY_OUT: Final = "go back to the one in the package with: hwledger catalogue pin shipped"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGITS: Final = 12


class Installed(NamedTuple):
    """One installed catalogue.

    Attributes:
        sha256: of its bytes, in hexadecimal.
        rows: how many models it has.
        date: when it was installed, in UTC (``2026-01-31T12:00:00Z``).
        stated: the date that it states itself; empty where it states none.
        source: path or address that it is from.
    """

    sha256: str
    rows: int
    date: str
    stated: str
    source: str

    @property
    def version(self) -> str:
        """The first 12 digits of its SHA-256."""
        return self.sha256[:_DIGITS]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.version}.jsonl"


class Change(NamedTuple):
    """One change of which catalogue is in force: when, by what, to which version, from which."""

    date: str
    action: str
    version: str
    previous: str


class State(NamedTuple):
    """What is installed.

    Attributes:
        active: the version in force, or ``shipped``.
        installed: all installed catalogues, in the order of their installation.
        history: the changes that ``undo`` takes back, the last one first.
    """

    active: str = SHIPPED
    installed: tuple[Installed, ...] = ()
    history: tuple[Change, ...] = ()

    @property
    def active_one(self) -> Installed | None:
        """The installed catalogue in force; None: the one in the package."""
        return self.find(self.active)

    def find(self, version: str) -> Installed | None:
        """Return the installed catalogue of that version."""
        return next((one for one in self.installed if one.version == version), None)


def read_state(folder: Path) -> State:
    """Return the record in a folder; that of nothing installed where there is none.

    Raises:
        MalformedError: the record is damaged.
        InputError: it cannot be read.
    """
    path = folder / STATE
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return State()
    except OSError as error:
        raise InputError(f"{path}: the record of catalogues cannot be read ({error.strerror})") from None
    try:
        return _parse(json.loads(raw))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise MalformedError(f"{path}: the record of installed catalogues is damaged; {WAY_OUT}") from None


def read_installed(folder: Path, one: Installed) -> bytes:
    """Return the bytes of an installed catalogue, unchanged since it was checked.

    Raises:
        MalformedError: it is gone or its bytes are others.
        InputError: it cannot be read.
    """
    from hashlib import sha256  # noqa: PLC0415 - start-up time

    path = folder / one.file
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise MalformedError(f"{path}: the installed catalogue is gone; {WAY_OUT}") from None
    except OSError as error:
        raise InputError(
            f"{path}: the installed catalogue cannot be read ({error.strerror}); {WAY_OUT}"
        ) from None
    if sha256(raw).hexdigest() != one.sha256:
        raise MalformedError(f"{path}: the installed catalogue was damaged after it was checked; {WAY_OUT}")
    return raw


def _parse(raw: Mapping[str, Any]) -> State:
    if raw["schema"] != SCHEMA:
        raise ValueError(raw["schema"])
    state = State(
        raw["active"],
        tuple(_installed(one) for one in raw["installed"]),
        tuple(Change(**_texts(one)) for one in raw["history"]),
    )
    named = {state.active, *(version for c in state.history for version in (c.version, c.previous))}
    unknown = named - {SHIPPED, *(one.version for one in state.installed)}
    return state if not unknown else _refuse(unknown)


def _installed(raw: Mapping[str, Any]) -> Installed:
    one = Installed(rows=raw["rows"], **_texts({key: raw[key] for key in raw if key != "rows"}))
    if not isinstance(one.rows, int) or not _DIGEST.fullmatch(one.sha256):
        _refuse(raw)
    return one


def _texts(raw: Mapping[str, Any]) -> dict[str, str]:
    return cast("dict[str, str]", raw) if all(isinstance(v, str) for v in raw.values()) else _refuse(raw)


def _refuse(what: object) -> NoReturn:
    raise ValueError(what)
