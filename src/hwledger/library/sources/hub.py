"""Models of the Hugging Face hub, or of the mirror that ``HF_ENDPOINT`` names."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hwledger.errors import (
    DeniedError,
    MalformedError,
    OfflineError,
    UnknownNameError,
    UnreachableError,
    UsageError,
)
from hwledger.library.access import Access
from hwledger.model.origin import Origin, Place
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.checkpoint import Checkpoint
    from hwledger.library.files import Files
    from hwledger.library.hub.choose import Choice
    from hwledger.library.hub.reference import HubReference
    from hwledger.library.hub.repository import Repository
    from hwledger.library.hub.session import Hub
    from hwledger.library.remembered import Read


class HubSource:
    """``org/repo``, with a revision, a quantisation or a file; addresses of the hub.

    The catalogue in the package knows many names without a network, so it answers before the hub does;
    ``hf:org/repo``, an address or a revision ask the hub. Where ``HF_ENDPOINT`` names another hub, that
    one is asked first: its models need not be the public ones.
    """

    name = "hf"

    @property
    def precedence(self) -> int:
        """After the catalogue (50); before it where the user has a hub of their own."""
        return 45 if os.environ.get("HF_ENDPOINT") else 60

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the reference where it has the shape of one; whether it exists, the hub says on opening."""
        from hwledger.library.hub.reference import parse_reference  # noqa: PLC0415 - start-up time

        return [ref] if parse_reference(ref) else []

    def named(self, ref: str) -> Sequence[str]:
        """Return the reference, which then may also be a name without a publisher, or lead to a file."""
        from hwledger.library.hub.reference import parse_reference  # noqa: PLC0415 - start-up time

        return [ref] if parse_reference(ref, short=True) else []

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read config and headers by range requests, or what is remembered, or the hub's cache offline."""
        from hwledger.library.hub import reference  # noqa: PLC0415 - start-up time
        from hwledger.library.remembered import remembered  # noqa: PLC0415

        reference.check_endpoint()
        wanted = reference.parse_reference(ref, short=True)
        if wanted is None:
            raise MalformedError(f"{ref[:200]!r} names no model of the hub; write org/name")
        if access.revision and wanted.revision not in {None, access.revision}:
            raise UsageError(
                f"{ref[:200]} names the revision {wanted.revision} and --revision {access.revision};"
                " give one of them"
            )
        wanted = replace(wanted, revision=wanted.revision or access.revision)
        key = f"hub|{reference.endpoint()}|{wanted}"
        return remembered(
            key, access, lambda: _read(wanted, access, key), identity=lambda: _commit(wanted, access),
            lasting=wanted.lasting,
        )  # fmt: skip

    def nearest(self, ref: str) -> Sequence[str]:
        """Return models of the hub's cache on this machine that are called like ``ref``."""
        from hwledger.library.local.hub_cache import hub_cache_models  # noqa: PLC0415 - start-up time
        from hwledger.library.near import closest_here  # noqa: PLC0415

        known = closest_here(ref, hub_cache_models())
        return [each.removeprefix("hf:") for each in known if each.startswith("hf:")]


def _read(ref: "HubReference", access: Access, key: str) -> "Read":
    if access.offline:
        return _read_snapshot(ref)
    from hwledger.library.hub.choose import choose  # noqa: PLC0415 - start-up time
    from hwledger.library.hub.repository import HubFiles  # noqa: PLC0415
    from hwledger.library.hub.session import hub_session  # noqa: PLC0415
    from hwledger.library.remembered import Read  # noqa: PLC0415
    from hwledger.model.reading import Reading  # noqa: PLC0415

    with hub_session(access) as hub:
        repository = _repository(hub, ref, key)
        choice = choose(repository.sizes, ref)
        files = HubFiles(hub, access, repository, choice.folder)
        found = _checkpoint(files, choice, ref)
        origin = f"{_host()}/{files.where}"
        reading = Reading(origin, files.counter.opened, hub.http.bytes_read, hub.http.requests)
        return Read(found, reading, repository.commit, repository.commit)


def _commit(ref: "HubReference", access: Access) -> str:
    """Return the commit that the hub has at a revision now."""
    from hwledger.library.hub.repository import read_repository  # noqa: PLC0415 - start-up time
    from hwledger.library.hub.session import hub_session  # noqa: PLC0415

    with hub_session(access) as hub:
        return read_repository(hub, ref).commit


def _repository(hub: "Hub", ref: "HubReference", key: str) -> "Repository":
    """Return the repository; where it is not known or the hub is not there, the name may be a wrong one.

    Raises:
        HwledgerError: as ``read_repository``, with near names unless this one was read before.
    """
    from hwledger.library.hub.repository import read_repository  # noqa: PLC0415 - start-up time
    from hwledger.library.remembered import is_remembered  # noqa: PLC0415

    try:
        return read_repository(hub, ref)
    except (UnknownNameError, UnreachableError) as error:
        if isinstance(error, DeniedError) or is_remembered(key):
            raise
        raise type(error)(f"{error}{_near(ref)}") from None


def _near(ref: "HubReference") -> str:
    """Return the end of a sentence: names that are known here and look like the one that was asked for."""
    from hwledger.library.near import near_names  # noqa: PLC0415 - start-up time
    from hwledger.library.source import installed_sources  # noqa: PLC0415

    near = near_names(ref.repo, installed_sources())
    return f"; near: {', '.join(near)}" if near else ""


def _read_snapshot(ref: "HubReference") -> "Read":
    """Read what the hub's own cache on this machine holds.

    Raises:
        OfflineError: it holds nothing of this model.
    """
    from hwledger.library.files import LocalFiles  # noqa: PLC0415 - start-up time
    from hwledger.library.hub.cache import snapshot_of, snapshot_sizes  # noqa: PLC0415
    from hwledger.library.hub.choose import choose  # noqa: PLC0415
    from hwledger.library.remembered import Read  # noqa: PLC0415
    from hwledger.model.reading import Reading  # noqa: PLC0415

    snapshot = snapshot_of(ref.repo, ref.revision)
    if snapshot is None:
        raise OfflineError(
            f"{ref} is neither remembered nor in the hub's cache on this machine, and the network is switched"
            f" off; plan it once with a network, or give a file{_near(ref)}"
        )
    choice = choose(snapshot_sizes(snapshot), ref)
    files = LocalFiles(snapshot / choice.folder)
    origin = f"hub cache: {ref.repo}@{snapshot.name[:7]}"
    found = replace(_checkpoint(files, choice, ref), where=origin)
    return Read(found, Reading(origin, found.files), snapshot.name, keep=False)


def _checkpoint(files: "Files", choice: "Choice", ref: "HubReference") -> "Checkpoint":
    from hwledger.library.checkpoint import read_checkpoint, read_gguf_checkpoint  # noqa: PLC0415

    if choice.gguf:
        found = read_gguf_checkpoint(files, choice.gguf)
    else:
        found = replace(read_checkpoint(files), name=ref.repo)
    path = "/".join(part for part in (choice.folder, choice.gguf) if part)
    origin = Origin(place=Place.HUB, name=ref.repo, path=path)
    return replace(found, notes=(*found.notes, *choice.notes), origin=origin)


def _host() -> str:
    from hwledger.library.hub.reference import endpoint  # noqa: PLC0415 - start-up time

    return endpoint().partition("://")[2]
