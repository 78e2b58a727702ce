"""The catalogue: facts of well-known models that ship with the package, so that a name is enough to plan.

``data/catalogue.jsonl`` has one model per line: id, short names, kinds, source, and those keys of its
config that shape the model. ``tools/tabulate_catalogue.py`` writes it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from hwledger.errors import AmbiguousError, MissingError

NEAREST: Final = 3
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        id: publisher and name (``Qwen/Qwen3-32B``).
        aliases: short names that no other model has.
        tags: what kind of model it is: ``dense``, ``moe``, ``mla``, ``swa``, ``hybrid``, ``ssm``,
            ``encoder-decoder``, ``encoder``, ``vision``, ``audio``, ``quantised``.
        config: the keys of its config that shape it.
        source: where the facts are from.
    """

    id: str
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    source: str

    @property
    def name(self) -> str:
        """The id without its publisher."""
        return self.id.rpartition("/")[2]

    @property
    def model_type(self) -> str:
        """The architecture's name in its config."""
        return str(self.config.get("model_type", ""))


@cache
def entries() -> tuple[Entry, ...]:
    """Return all models, ordered by id."""
    text = files("hwledger.library").joinpath("data/catalogue.jsonl").read_text("utf-8")
    return tuple(_entry(json.loads(line)) for line in text.splitlines() if line)


def lookup(name: str) -> Entry:
    """Return the model called ``name``: its id, name without publisher or alias, loosely spelled or not.

    Raises:
        AmbiguousError: several models answer to the name; they are listed.
        MissingError: none does; the nearest names are in the sentence.
    """
    by_id, by_name, by_letters = _index()
    if name in by_id:
        return by_id[name]
    for table, key in ((by_name, name.strip().lower()), (by_letters, _letters(name))):
        found = table.get(key, ())
        if len(found) > 1:
            raise AmbiguousError(name, [entry.id for entry in found])
        if found:
            return found[0]
    raise MissingError(_missing(name))


def search(words: Sequence[str] | str = ()) -> tuple[Entry, ...]:
    """Return the models with every word in their id, aliases, architecture or tags; all without words."""
    wanted = words.lower().split() if isinstance(words, str) else [word.lower() for word in words]
    return tuple(entry for entry in entries() if all(word in _haystack(entry) for word in wanted))


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(row["id"], tuple(row["aliases"]), tuple(row["tags"]), row["config"], row["source"])


@cache
def _index() -> tuple[dict[str, Entry], dict[str, tuple[Entry, ...]], dict[str, tuple[Entry, ...]]]:
    """Models by id, by lower-case name or alias, and by the letters and digits of those."""
    by_name: dict[str, tuple[Entry, ...]] = {}
    by_letters: dict[str, tuple[Entry, ...]] = {}
    for entry in entries():
        for spelling in {entry.id.lower(), entry.name.lower(), *entry.aliases}:
            by_name[spelling] = (*by_name.get(spelling, ()), entry)
        for letters in {_letters(spelling) for spelling in (entry.id, entry.name, *entry.aliases)}:
            by_letters[letters] = (*by_letters.get(letters, ()), entry)
    return {entry.id: entry for entry in entries()}, by_name, by_letters


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _haystack(entry: Entry) -> str:
    return " ".join((entry.id, *entry.aliases, entry.model_type, *entry.tags)).lower()


def _missing(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    _, by_name, _ = _index()
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    near = get_close_matches(name.lower()[:_LONGEST_NAME], by_name, NEAREST, 0.6)
    names = dict.fromkeys(entry.id for key in near for entry in by_name[key])
    hint = f"did you mean {', '.join(names)}?" if names else "list the known ones with: hwledger models"
    return f"no model of the catalogue is called {shown!r}; {hint}"
