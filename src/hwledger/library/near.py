"""Names that look like one that nobody knows: of the catalogue, and of the models on this machine."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hwledger.library.local.model import LocalModel
    from hwledger.library.source import Source

MOST_NEAR: Final = 3
LONGEST: Final = 200
ALIKE: Final = 0.6
"""The least likeness that counts, of 1 for the same (``difflib``)."""
PLAIN: Final = frozenset({"catalogue", "gguf", "file"})
"""Sources whose names are understood as they stand; those of the others could be taken for another's."""


def near_names(name: str, sources: "Iterable[Source]") -> list[str]:
    """Return what may be typed instead of ``name``, the likest first, ``MOST_NEAR`` at most."""
    found = {
        each if source.name in PLAIN else f"{source.name}:{each}": _likeness(name, each)
        for source in sources
        for each in source.nearest(name)
    }
    return sorted(found, key=lambda each: -found[each])[:MOST_NEAR]


def closest(name: str, spellings: Mapping[str, str], most: int = MOST_NEAR) -> list[str]:
    """Return what the spellings that are most like ``name`` stand for, the likest first, each once.

    A name counts whole and by what follows its last slash: publishers are mistaken, too.

    Args:
        name: what was asked for.
        spellings: names in lower case, with what each stands for.
        most: results at most.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    asked = name.lower()[:LONGEST]
    found = {
        spelling
        for text in (asked, _last(asked))
        for spelling in get_close_matches(text, spellings, most, ALIKE)
    }
    ranked = sorted(found, key=lambda spelling: (-_likeness(asked, spelling), spelling))
    return list(dict.fromkeys(spellings[spelling] for spelling in ranked))[:most]


def closest_here(name: str, models: "Iterable[LocalModel]") -> list[str]:
    """Return references of models on this machine that can be used and are called like ``name``."""
    spellings: dict[str, str] = {}
    for model in models:
        if not model.problem:
            whole = model.name.lower()
            for spelling in (whole, whole.partition(":")[0], _last(whole)):
                spellings.setdefault(spelling, model.ref)
    return closest(name, spellings)


def _likeness(one: str, other: str) -> float:
    """Return how alike two names are, whole or by their last parts: 1 for the same."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - start-up time

    one, other = one.lower()[:LONGEST], other.lower()[:LONGEST]
    pairs = ((one, other), (_last(one), _last(other)))
    return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)


def _last(name: str) -> str:
    return name.rpartition("/")[2]
