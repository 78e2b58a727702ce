"""Changing which catalogue is in force: update, pin, undo; and saying which there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256 as digest_of
from pathlib import Path
from typing import Final

from hwledger import __version__
from hwledger.errors import AmbiguousError, MalformedError, UnknownOptionError, UsageError
from hwledger.library.catalogue.active import STATE, catalogue_folder, in_force, shipped_bytes, shipped_path
from hwledger.library.catalogue.check import check_catalogue
from hwledger.library.catalogue.lock import Say, one_at_a_time, unheard
from hwledger.library.catalogue.origin import Fetch, check_digest, check_wanted, read_source
from hwledger.library.catalogue.rows import Entry, read_rows
from hwledger.library.catalogue.state import SHIPPED, Change, Installed, State, read_installed, read_state
from hwledger.library.catalogue.writing import write_state
from hwledger.library.files import make_folder, write_whole

DAMAGED: Final = "state.damaged.json"


@dataclass(frozen=True, slots=True)
class Version:
    """One catalogue that can be in force.

    Attributes:
        version: the first 12 hexadecimal digits of the SHA-256 of its bytes.
        name: what ``pin`` calls it: ``shipped`` or the version.
        rows: how many models it has.
        date: when it was installed; empty for the one in the package.
        stated: the date that it states itself, if any.
        source: path or address that it is from.
        path: its file.
        active: whether it is in force.
    """

    version: str
    name: str
    rows: int
    date: str
    stated: str
    source: str
    path: Path
    active: bool


@dataclass(frozen=True, slots=True)
class Move:
    """What a change did.

    Attributes:
        version: the name of the catalogue now in force.
        previous: the name of the one that was before; the same where nothing changed.
        aside: where a damaged record was put, if one was.
    """

    version: str
    previous: str
    aside: Path | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What an update brought.

    Attributes:
        version: the version now in force.
        previous: the name of the one before.
        rows: how many models it has.
        stated: the date that it states itself, if any.
        source: where it is from.
        sha256: of its bytes.
        added: ids of models that the one before had not.
        removed: ids of models that it has no more.
        changed: ids of models with other facts.
    """

    version: str
    previous: str
    rows: int
    stated: str
    source: str
    sha256: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def update(source: str, fetch: Fetch, *, sha256: str = "", force: bool = False, say: Say = unheard) -> Update:
    """Install the catalogue at ``source`` and put it in force: whole and checked, or not at all.

    Args:
        source: a path, or an https:// address (http:// for this machine only).
        fetch: returns what is at an address, at most so many bytes.
        sha256: the SHA-256 that its bytes must have, in hexadecimal; empty: any.
        force: install it even when it has less than half of the models of the one in force.
        say: is told when another process is waited for.

    Raises:
        UsageError: the source or the SHA-256 is none.
        InputError: it cannot be read, is no usable catalogue or cannot be written; the one before stays.
        UnreachableError: the server did not answer.
    """
    check_wanted(sha256)
    raw, where = read_source(source, fetch)
    digest = check_digest(raw, sha256, where)
    checked = check_catalogue(raw, where)
    one = Installed(digest, len(checked.entries), _now(), checked.stated, where)
    with one_at_a_time(catalogue_folder(), say):
        before, state = in_force().entries, read_state(catalogue_folder())
        if not force:
            _check_size(one, len(before))
        _install(one, raw, state, "update")
    return Update(
        one.version,
        state.active,
        one.rows,
        one.stated,
        where,
        digest,
        **_differences(before, checked.entries),
    )


def pin(wanted: str, *, say: Say = unheard) -> Move:
    """Put one installed catalogue in force, or the one in the package, until the next change.

    Args:
        wanted: ``shipped``, which follows the package, or the first digits of a version. The version that
            ships today can be pinned by its digits, too: it is then kept when the package changes.
        say: as for ``update``.

    Raises:
        UsageError: there is no such version, or there are several.
        InputError: it is damaged, or the record cannot be read or written.
    """
    folder = catalogue_folder()
    with one_at_a_time(folder, say):
        return _pin_shipped(folder) if wanted == SHIPPED else _pin_version(folder, wanted)


def _pin_version(folder: Path, wanted: str) -> Move:
    state, shipped = read_state(folder), shipped_bytes()
    version = _chosen(wanted, [*(one.version for one in state.installed), _version(shipped)])
    one = state.find(version)
    if one is None:
        one = Installed(
            digest_of(shipped).hexdigest(), len(read_rows(shipped)), _now(), "", f"hwledger {__version__}"
        )
        _install(one, shipped, state, "pin")
    else:
        read_installed(folder, one)
        _activate(state, version, "pin")
    return Move(version, state.active)


def undo(*, say: Say = unheard) -> Move:
    """Put the catalogue in force that was before the last change; again and again down to the first.

    Raises:
        UsageError: there is no change to take back.
        InputError: that catalogue is damaged, or the record cannot be read or written.
    """
    folder = catalogue_folder()
    with one_at_a_time(folder, say):
        return _undo(folder)


def _undo(folder: Path) -> Move:
    state = read_state(folder)
    if not state.history:
        raise UsageError("no change of the catalogue is left to undo")
    last, *earlier = state.history
    target = state.find(last.previous)
    if target is not None:
        read_installed(folder, target)
    write_state(folder, state._replace(active=last.previous, history=tuple(earlier)))
    return Move(last.previous, state.active)


def versions() -> list[Version]:
    """Return every catalogue that can be in force: the one in the package first, then as installed.

    Raises:
        InputError: the record is damaged or cannot be read.
    """
    folder = catalogue_folder()
    state, shipped = read_state(folder), shipped_bytes()
    first = Version(
        _version(shipped), SHIPPED, len(read_rows(shipped)), "", "", f"hwledger {__version__}",
        shipped_path(), state.active == SHIPPED,
    )  # fmt: skip
    return [
        first,
        *(
            Version(one.version, one.version, one.rows, one.date, one.stated, one.source,
                    folder / one.file, one.version == state.active)
            for one in state.installed
        ),
    ]  # fmt: skip


def active_version() -> Version:
    """Return the catalogue in force, whether its content is sound or not.

    Raises:
        InputError: the record is damaged or cannot be read.
    """
    return next(one for one in versions() if one.active)


def _pin_shipped(folder: Path) -> Move:
    """Go back to the package: the way out of all damage, so it reads no more than it must."""
    try:
        state = read_state(folder)
    except MalformedError:
        aside = folder / DAMAGED
        write_whole(aside, (folder / STATE).read_bytes())
        write_state(folder, State())
        return Move(SHIPPED, "unknown", aside)
    _activate(state, SHIPPED, "pin")
    return Move(SHIPPED, state.active)


def _check_size(one: Installed, before: int) -> None:
    """Refuse what has less than half of the models of the catalogue in force."""
    if 2 * one.rows < before:
        raise MalformedError(
            f"{one.source}: it has {_models(one.rows)} and the catalogue in force has {before:,}; "
            "where that is right, install it with --force"
        )


def _install(one: Installed, raw: bytes, state: State, action: str) -> None:
    """Write a catalogue beside the others; only when it is there it is put in force."""
    make_folder(catalogue_folder())
    write_whole(catalogue_folder() / one.file, raw)
    others = tuple(other for other in state.installed if other.version != one.version)
    _activate(state._replace(installed=(*others, one)), one.version, action)


def _activate(state: State, version: str, action: str) -> None:
    if version == state.active and action == "pin":
        return
    change = Change(_now(), action, version, state.active)
    history = state.history if version == state.active else (change, *state.history)
    write_state(catalogue_folder(), state._replace(active=version, history=history))


def _chosen(wanted: str, known: Sequence[str]) -> str:
    found = sorted({version for version in known if wanted and version.startswith(wanted.lower())})
    if not found:
        raise UnknownOptionError("catalogue version", wanted[:80], [SHIPPED, *dict.fromkeys(known)])
    if len(found) > 1:
        raise AmbiguousError(wanted, found)
    return found[0]


def _differences(before: Sequence[Entry], after: Sequence[Entry]) -> Mapping[str, tuple[str, ...]]:
    old, new = ({entry.id: entry for entry in entries} for entries in (before, after))
    return {
        "added": tuple(sorted(new.keys() - old.keys())),
        "removed": tuple(sorted(old.keys() - new.keys())),
        "changed": tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
    }


def _models(count: int) -> str:
    return f"{count:,} model{'s' if count != 1 else ''}"


def _version(raw: bytes) -> str:
    return digest_of(raw).hexdigest()[:12]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
