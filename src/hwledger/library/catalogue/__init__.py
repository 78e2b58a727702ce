"""The catalogue: facts of well-known models, so that a name is enough to plan.

One ships with the package (``data/catalogue.jsonl``, written by ``tools/tabulate_catalogue.py``); newer ones
can be installed beside it. The one in force answers: ``rows`` and ``check`` know what a catalogue is,
``table`` looks up, ``state`` remembers what is installed, ``store`` changes it, ``active`` reads it.
"""

from collections.abc import Sequence

from hwledger.library.catalogue.active import in_force
from hwledger.library.catalogue.rows import Entry

__all__ = ["Entry", "entries", "in_force", "lookup", "search"]


def entries() -> tuple[Entry, ...]:
    """Return all models of the catalogue in force, ordered by id.

    Raises:
        MalformedError: an installed catalogue is in force and is gone or damaged.
    """
    return in_force().entries


def lookup(name: str) -> Entry:
    """Return the model called ``name``: its id, name without publisher or alias, loosely spelled or not.

    Raises:
        AmbiguousError: several models answer to the name; they are listed.
        MissingError: none does; the nearest names are in the sentence.
        MalformedError: an installed catalogue is in force and is gone or damaged.
    """
    return in_force().lookup(name)


def search(words: Sequence[str] | str = ()) -> tuple[Entry, ...]:
    """Return the models with every word in their id, aliases, architecture or tags; all without words.

    Raises:
        MalformedError: an installed catalogue is in force and is gone or damaged.
    """
    return in_force().search(words)
