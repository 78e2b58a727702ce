"""Readings over the network, remembered: the second plan of the same model asks nobody."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

from hwledger.errors import DeniedError, HwledgerError, MissingError, OfflineError, UnreachableError
from hwledger.library.access import Access, refused_anew
from hwledger.library.checkpoint import Checkpoint, checkpoint_spec
from hwledger.library.checkpoint_document import checkpoint_document, read_document
from hwledger.library.kept import Kept, keep, recall
from hwledger.model.reading import Reading
from hwledger.model.spec import ModelSpec

FRESH_S: Final = 24 * 3600.0
"""A branch moves: after a day the server is asked whether it did. A commit never does."""
_KIND: Final = "remote"


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading gave.

    Attributes:
        checkpoint: the facts.
        reading: how much was read, from where.
        revision: commit, where the place has them.
        identity: what the place calls this content (a commit, a digest, a tag of the web): while it is called
            so it has not changed; empty where the place does not tell.
        keep: it is what the place itself says; a copy on this machine may be old or incomplete and is not
            remembered in its name.
    """

    checkpoint: Checkpoint
    reading: Reading
    revision: str = ""
    identity: str = ""
    keep: bool = True


@dataclass(frozen=True, slots=True)
class _Old:
    """An earlier reading, and the seconds since the place was last asked about it."""

    read: Read
    asked_s: float

    @property
    def may_hold(self) -> bool:
        """Whether any answer of the place could prove it."""
        return bool(self.read.identity) or self.asked_s < FRESH_S

    def holds(self, called: str) -> bool:
        """Whether it is what the place has, which calls its content ``called`` now."""
        return called == self.read.identity if called else self.asked_s < FRESH_S


def remembered(  # noqa: PLR0913 - what decides whether a reading holds
    key: str,
    access: Access,
    read: Callable[[], Read],
    *,
    identity: Callable[[], str] | None = None,
    lasting: bool = False,
    unasked_s: float = FRESH_S,
) -> ModelSpec:
    """Return the model behind ``key``: as remembered where that still holds, else as ``read`` gives it.

    Without a network, what is remembered counts however old it is, and the reading says how old; to read it
    anew then is a contradiction, unless a copy is on this machine.

    Args:
        key: source, place and revision.
        access: whether the network may be used, and whether what is remembered may.
        read: reads over the network.
        identity: asks what the place calls the content now, as ``Read.identity``; where it tells nothing, age
            decides.
        lasting: the content can never change (a commit).
        unasked_s: seconds for which what is remembered is believed without asking anybody.

    Raises:
        UsageError: it is remembered, and neither that nor the network is to be used.
        OfflineError: nothing is remembered and the network is not to be used.
        HwledgerError: as ``read``.
    """
    old = _old(recall(_KIND, key))
    believed = None if access.refresh else old
    if believed and (access.offline or lasting or believed.asked_s < unasked_s):
        return _spec(believed.read)
    try:
        if believed and identity and believed.may_hold and believed.holds(identity()):
            if believed.asked_s > FRESH_S:
                _keep(key, believed.read)
            return _spec(believed.read)
        now = read()
    except UnreachableError as error:
        if old is None or isinstance(error, DeniedError):
            raise
        if isinstance(error, OfflineError):
            raise refused_anew(old.read.reading.origin) from None
        access.say(f"{error}; planned from an earlier reading")
        return _spec(old.read)
    spec = _spec(now)
    if now.keep:
        _keep(key, now)
    return spec


def _keep(key: str, read: Read) -> None:
    """Keep a reading, and how old it is now."""
    keep(_KIND, key, {"checkpoint": checkpoint_document(read.checkpoint), "reading": asdict(read.reading),
                      "revision": read.revision, "identity": read.identity})  # fmt: skip


def is_remembered(key: str) -> bool:
    """Whether something usable is remembered under ``key``."""
    return _old(recall(_KIND, key)) is not None


def _old(kept: Kept | None) -> _Old | None:
    if kept is None:
        return None
    try:
        written = Reading(**kept.document["reading"])
        reading = replace(written, kept_s=kept.age_s + (written.kept_s or 0.0))
        checkpoint = read_document(kept.document["checkpoint"])
        identity = str(kept.document.get("identity", ""))
        return _Old(Read(checkpoint, reading, str(kept.document["revision"]), identity), kept.age_s)
    except (KeyError, TypeError, ValueError, HwledgerError):
        return None


def _spec(read: Read) -> ModelSpec:
    try:
        spec = checkpoint_spec(read.checkpoint)
    except MissingError as error:
        raise MissingError(f"{read.reading.origin}: {error}") from None
    return replace(spec, source=read.reading.origin, revision=read.revision, reading=read.reading)
