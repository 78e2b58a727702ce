"""The catalogue in the package, as a source."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.access import Access
from hwledger.model.origin import Origin, Place
from hwledger.model.reading import Reading
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.catalogue.rows import Entry


class CatalogueSource:
    """Names of the catalogue (``llama-3.1-8b``, ``Qwen/Qwen3-32B``)."""

    name = "catalogue"
    precedence = 50

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the entry, or the entries that the name could mean."""
        from hwledger.library.catalogue import lookup  # noqa: PLC0415 - start-up time

        try:
            return [lookup(ref).id]
        except AmbiguousError as error:
            return error.candidates
        except MissingError:
            return []

    def named(self, ref: str) -> Sequence[str]:
        """Return the same: a name is a name."""
        return self.candidates(ref)

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the facts of one entry."""
        del access
        from hwledger.library.catalogue import lookup  # noqa: PLC0415 - start-up time

        return _spec(lookup(ref))

    def nearest(self, ref: str) -> Sequence[str]:
        """Return catalogue names that look like ``ref``."""
        from hwledger.library.catalogue import entries  # noqa: PLC0415 - start-up time
        from hwledger.library.near import closest  # noqa: PLC0415 - start-up time

        names = {
            name.lower(): entry.id for entry in entries() for name in (entry.id, entry.id.split("/")[-1])
        }
        return closest(ref, names)


def shipped_model(name: str) -> ModelSpec:
    """Return a model of the catalogue in the package, whichever is in force: measurements are held to that.

    Raises:
        MissingError, AmbiguousError: as ``lookup``.
    """
    from hwledger.library.catalogue.active import shipped  # noqa: PLC0415 - start-up time

    return _spec(shipped().lookup(name))


def _spec(entry: "Entry") -> ModelSpec:
    from hwledger.library.config import read_config  # noqa: PLC0415 - start-up time

    where = f"catalogue: {entry.id}"
    spec = read_config(entry.config, where=where, name=entry.id, file_format="catalogue")
    return replace(spec, reading=Reading(where), origin=Origin(place=Place.HUB, name=entry.id))
