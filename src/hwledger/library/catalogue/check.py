"""Checking a catalogue from elsewhere, before anything of it is used: every row, and all of them together."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from hwledger.errors import HwledgerError, MalformedError
from hwledger.library.catalogue.rows import SCHEMA, Entry, is_about, lines, to_entry
from hwledger.library.config import read_config
from hwledger.library.json_file import parse_json_object

LONGEST_NAME: Final = 200
LONGEST_SOURCE: Final = 2000
_NAME: Final = re.compile(r"[A-Za-z0-9_][\w.+-]*(?:/[A-Za-z0-9_][\w.+-]*)?", re.ASCII)
"""``org/name`` or a plain name: never a path, an address or another source's prefix, which are looked up
elsewhere."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A catalogue that can be installed.

    Attributes:
        entries: its models.
        stated: the date that it states; empty where it states none.
    """

    entries: tuple[Entry, ...]
    stated: str


def check_catalogue(raw: bytes, where: str) -> Checked:
    """Return the catalogue that ``raw`` spells, when all of it can be used.

    Args:
        raw: JSON objects, one per line.
        where: path or address, for sentences.

    Raises:
        MalformedError: something is wrong; the sentence names the first line that is, and the reason.
    """
    stated, taken = "", _Names()
    entries: list[Entry] = []
    try:
        for number, line in lines(raw):
            place = f"{where}, line {number}"
            row = parse_json_object(line.encode(), place)
            if is_about(row) and not entries and not stated:
                stated = _about(row, place)
                continue
            entry = _entry(row, place)
            taken.claim(entry, place)
            entries.append(entry)
    except UnicodeDecodeError:
        raise MalformedError(f"{where}: this is no UTF-8 text, so no catalogue") from None
    if not entries:
        raise MalformedError(f"{where}: there is no model in this catalogue")
    taken.settle()
    return Checked(tuple(entries), stated)


class _Names:
    """What the models are called, and on which line."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def claim(self, entry: Entry, place: str) -> None:
        """Note what one model is called; two have never the same id or alias."""
        for table, spelling in ((self._ids, entry.id.lower()), *((self._aliases, a) for a in entry.aliases)):
            if spelling in table:
                raise MalformedError(f"{place}: {spelling!r} is taken already, in {table[spelling]}")
            table[spelling] = place
        self._names[entry.name.lower()] = place

    def settle(self) -> None:
        """Make sure that no alias is the name of another model."""
        for alias, place in self._aliases.items():
            for table in (self._ids, self._names):
                if alias in table:
                    raise MalformedError(f"{place}: the alias {alias!r} is the name of {table[alias]}")


def _about(row: Mapping[str, Any], place: str) -> str:
    """Return the date that a catalogue states."""
    if row["schema"] != SCHEMA:
        raise MalformedError(
            f"{place}: this hwledger reads catalogues of {SCHEMA} and this is another; update hwledger"
        )
    stated = row.get("date", "")
    if stated and not _is_date(stated):
        raise MalformedError(f"{place}: 'date' must be written like 2026-01-31")
    return str(stated)


def _is_date(stated: object) -> bool:
    try:
        return isinstance(stated, str) and date.fromisoformat(stated).isoformat() == stated
    except ValueError:
        return False


def _entry(row: Mapping[str, Any], place: str) -> Entry:
    for key, holds, wanted in (
        ("id", _is_name(row.get("id")), "org/name or a plain name, of letters, digits and _ . - +"),
        ("aliases", _are_aliases(row.get("aliases")), "a list of names like ids, in lower case"),
        ("tags", _are_names(row.get("tags")), "a list of words"),
        ("source", _is_text(row.get("source"), LONGEST_SOURCE), "a text that says where the facts are from"),
        ("config", isinstance(row.get("config"), dict), "an object, the model's config"),
    ):
        if not holds:
            raise MalformedError(f"{place}: {key!r} must be {wanted}")
    if not _is_text(row["config"].get("model_type"), LONGEST_NAME):
        raise MalformedError(f"{place}: 'model_type' in its config must be a name")
    _plain(row, place)
    entry = to_entry(row)
    _readable(entry, place)
    return entry


def _is_text(value: object, longest: int) -> bool:
    """Return whether a value can be shown: no control characters, no blanks around it, not too long."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= longest
        and value.isprintable()
        and value == value.strip()
    )


def _is_name(value: object) -> bool:
    return _is_text(value, LONGEST_NAME) and _NAME.fullmatch(str(value)) is not None


def _are_names(values: object) -> bool:
    return isinstance(values, list) and all(_is_text(value, LONGEST_NAME) for value in values)


def _are_aliases(values: object) -> bool:
    return isinstance(values, list) and all(_is_name(value) and value == value.lower() for value in values)


def _plain(row: Mapping[str, Any], place: str) -> None:
    """Refuse what JSON can spell and nothing can use: halves of characters, numbers beyond all bounds."""
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise MalformedError(
            f"{place}: a text or a number in this row is beyond what can be stored"
        ) from None


def _readable(entry: Entry, place: str) -> None:
    """Refuse a model that could not be planned."""
    where = f"{place} ({entry.id})"
    try:
        spec = read_config(entry.config, where=where, name=entry.id, file_format="catalogue")
    except HwledgerError as error:
        reason = re.sub(rf"^{re.escape(where)}:? *", "", str(error))
        raise MalformedError(f"{where}: {reason}") from None
    if not spec.layers and not spec.encoder_layers:
        raise MalformedError(f"{where}: this model has no layers")
