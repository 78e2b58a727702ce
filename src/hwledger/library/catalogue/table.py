"""One catalogue in memory: looking up names and searching."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.catalogue.rows import Entry

NEAREST: Final = 3
_LONGEST_NAME: Final = 200


class Spellings(NamedTuple):
    """Models by lower-case name or alias, and by the letters and digits of those."""

    by_name: dict[str, tuple[Entry, ...]]
    by_letters: dict[str, tuple[Entry, ...]]


class Table:
    """The models of one catalogue.

    Attributes:
        entries: all models, ordered by id.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.id.lower()))

    @cached_property
    def spellings(self) -> Spellings:
        """Every way to call a model."""
        by_name: dict[str, tuple[Entry, ...]] = {}
        by_letters: dict[str, tuple[Entry, ...]] = {}
        for entry in self.entries:
            for spelling in {entry.id.lower(), entry.name.lower(), *entry.aliases}:
                by_name[spelling] = (*by_name.get(spelling, ()), entry)
            for letters in {_letters(spelling) for spelling in (entry.id, entry.name, *entry.aliases)}:
                by_letters[letters] = (*by_letters.get(letters, ()), entry)
        return Spellings(by_name, by_letters)

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        """The models by id."""
        return {entry.id: entry for entry in self.entries}

    def lookup(self, name: str) -> Entry:
        """Return the model called ``name``.

        Raises:
            AmbiguousError: several models answer to the name; they are listed.
            MissingError: none does; the nearest names are in the sentence.
        """
        if name in self.by_id:
            return self.by_id[name]
        by_name, by_letters = self.spellings
        for table, key in ((by_name, name.strip().lower()), (by_letters, _letters(name))):
            found = table.get(key, ()) if key else ()
            if len(found) > 1:
                raise AmbiguousError(name, [entry.id for entry in found])
            if found:
                return found[0]
        raise MissingError(self._missing(name))

    def search(self, words: Sequence[str] | str = ()) -> tuple[Entry, ...]:
        """Return the models with every word in their id, aliases, architecture or tags."""
        wanted = words.lower().split() if isinstance(words, str) else [word.lower() for word in words]
        return tuple(entry for entry in self.entries if all(word in _haystack(entry) for word in wanted))

    def _missing(self, name: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - start-up time

        by_name = self.spellings.by_name
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        near = get_close_matches(name.lower()[:_LONGEST_NAME], by_name, NEAREST, 0.6)
        names = dict.fromkeys(entry.id for key in near for entry in by_name[key])
        hint = f"did you mean {', '.join(names)}?" if names else "list the known ones with: hwledger models"
        return f"no model of the catalogue is called {shown!r}; {hint}"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _haystack(entry: Entry) -> str:
    return " ".join((entry.id, *entry.aliases, entry.model_type, *entry.tags)).lower()
