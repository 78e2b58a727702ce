"""Hollow copies of GGUF files: the real header, then nothing to the full length; they take kilobytes.

They are for an engine that plans by the header alone and looks how long the file is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwledger.errors import InputError, OfflineError, UsageError
from hwledger.library.access import Access
from hwledger.library.files import Files, LocalFiles
from hwledger.library.gguf.reader import parse_gguf
from hwledger.library.gguf.shards import shard_names
from hwledger.library.paths import typed
from hwledger.model.origin import Origin, Place
from hwledger.model.spec import ModelSpec


def hollow_model(spec: ModelSpec, ref: str, access: Access, folder: Path) -> Path:
    """Return the first file of a hollow copy of a model's GGUF files.

    Args:
        spec: the model; it says where its files are.
        ref: as the user named it: an address may hold what is withheld of it elsewhere.
        access: how remote headers may be read.
        folder: gets the files.

    Raises:
        UsageError: the model is no GGUF file, or where it lies is not known.
        InputError: a file cannot be read or made.
        UnreachableError: its server does not answer.
    """
    if spec.format != "gguf" or spec.origin is None:
        raise UsageError(
            f"{spec.id} has no GGUF header to show an engine: name a GGUF file or a repository of one"
        )
    with _opened(spec.origin, spec.revision or "", ref, access) as (files, name):
        made = [hollow_file(files, each, folder) for each in shard_names(name)]
    return made[0]


def hollow_file(files: Files, name: str, folder: Path) -> Path:
    """Return a hollow copy of one file in a folder.

    Raises:
        MalformedError: it is no GGUF file.
        InputError: it cannot be read, or the copy not be made.
    """
    with files.open(name) as file:
        header = parse_gguf(file)
        raw = bytes(file.read(0, header.header_bytes)[: header.header_bytes])
    path = folder / name
    try:
        path.write_bytes(raw)
        os.truncate(path, header.file_bytes + header.missing_data_bytes)
    except OSError as error:
        raise InputError(f"{path}: a hollow copy cannot be made ({error.strerror or error})") from None
    return path


@contextmanager
def _opened(origin: Origin, revision: str, ref: str, access: Access) -> Iterator[tuple[Files, str]]:
    """Give the folder that a model's files lie in, and the name of the first one."""
    folder, _, name = origin.path.rpartition("/")
    if origin.place is Place.HUB and name:
        with _of_hub(origin.name, revision, folder, access) as files:
            yield files, name
    elif origin.place is Place.WEB:
        with _of_web(ref if "://" in ref else origin.name, access) as found:
            yield found
    elif path := {Place.FILE: origin.name, Place.OLLAMA: origin.path}.get(origin.place):
        yield LocalFiles(typed(path).parent), typed(path).name
    else:
        raise UsageError(f"where the file of {origin.name} lies is not known here: name the file itself")


@contextmanager
def _of_hub(repo: str, revision: str, folder: str, access: Access) -> Iterator[Files]:
    if access.offline:
        from hwledger.library.hub.cache import snapshot_of  # noqa: PLC0415 - start-up time

        snapshot = snapshot_of(repo, revision or None)
        if snapshot is None:
            raise OfflineError(
                f"{repo} is not in the hub's cache on this machine, and the network is switched off"
            )
        yield LocalFiles(snapshot / folder)
        return
    from hwledger.library.hub.reference import HubReference  # noqa: PLC0415 - start-up time
    from hwledger.library.hub.repository import HubFiles, read_repository  # noqa: PLC0415
    from hwledger.library.hub.session import hub_session  # noqa: PLC0415

    with hub_session(access) as hub:
        repository = read_repository(hub, HubReference(repo, revision or None))
        yield HubFiles(hub, access, repository, folder)


@contextmanager
def _of_web(url: str, access: Access) -> Iterator[tuple[Files, str]]:
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time
    from hwledger.library.net.remote_files import WebFiles  # noqa: PLC0415

    with Http(access) as http:
        files = WebFiles(http, access, url)
        yield files, files.first
