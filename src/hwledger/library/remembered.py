"""Readings over the network, remembered: the second plan of the same model asks nobody."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

from hwledger.errors import DeniedError, HwledgerError, MissingError, OfflineError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.checkpoint import Checkpoint, checkpoint_spec
from hwledger.library.checkpoint_document import checkpoint_document, read_document
from hwledger.library.kept import Kept, keep, recall
from hwledger.model.reading import Reading
from hwledger.model.spec import ModelSpec

FRESH_S: Final = 24 * 3600.0
"""A branch moves: after a day the server is asked again. A commit never does."""
_KIND: Final = "remote"


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading gave.

    Attributes:
        checkpoint: the facts.
        reading: how much was read, from where.
        revision: commit, where the place has them.
        keep: it is what the place itself says; a copy on this machine may be old or incomplete and is not
            remembered in its name.
    """

    checkpoint: Checkpoint
    reading: Reading
    revision: str = ""
    keep: bool = True


def remembered(key: str, access: Access, read: Callable[[], Read], *, lasting: bool = False) -> ModelSpec:
    """Return the model behind ``key``: as remembered where that is fresh, else as ``read`` gives it.

    Without a network, what is remembered counts however old it is, and the reading says how old.

    Args:
        key: source, place and revision.
        access: whether the network may be used, and whether what is remembered may.
        read: reads over the network.
        lasting: the content can never change (a commit).

    Raises:
        OfflineError: nothing is remembered and the network is not to be used.
        HwledgerError: as ``read``.
    """
    kept = recall(_KIND, key)
    old = _old(kept)
    fresh = kept is not None and (lasting or kept.age_s < FRESH_S)
    if old and (access.offline or (fresh and not access.refresh)):
        return _spec(old)
    try:
        now = read()
    except UnreachableError as error:
        if old is None or isinstance(error, (DeniedError, OfflineError)):
            raise
        access.say(f"{error}; planned from an earlier reading")
        return _spec(old)
    spec = _spec(now)
    if not now.keep:
        return spec
    keep(_KIND, key, {"checkpoint": checkpoint_document(now.checkpoint), "reading": asdict(now.reading),
                      "revision": now.revision})  # fmt: skip
    return spec


def is_remembered(key: str) -> bool:
    """Whether something usable is remembered under ``key``."""
    return _old(recall(_KIND, key)) is not None


def _old(kept: Kept | None) -> Read | None:
    if kept is None:
        return None
    try:
        reading = replace(Reading(**kept.document["reading"]), kept_s=kept.age_s)
        return Read(read_document(kept.document["checkpoint"]), reading, str(kept.document["revision"]))
    except (KeyError, TypeError, ValueError, HwledgerError):
        return None


def _spec(read: Read) -> ModelSpec:
    try:
        spec = checkpoint_spec(read.checkpoint)
    except MissingError as error:
        raise MissingError(f"{read.reading.origin}: {error}") from None
    return replace(spec, source=read.reading.origin, revision=read.revision, reading=read.reading)
