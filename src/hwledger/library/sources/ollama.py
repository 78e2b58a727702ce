"""Models of Ollama: from its store on this machine, or from what its server says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hwledger.errors import InputError, MalformedError, MissingError, OfflineError, UnreachableError
from hwledger.library.access import Access
from hwledger.model.origin import Origin, Place
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.library.checkpoint import Checkpoint
    from hwledger.library.ollama.reference import OllamaName
    from hwledger.library.ollama.server import Server
    from hwledger.library.ollama.store import Pulled
    from hwledger.library.remembered import Read

MOST_LISTED = 5


class OllamaSource:
    """``ollama:qwen3:8b``: blobs on disk are read first, the server is asked for what is not there.

    Without the prefix only names of the store count, and names with a tag, which nothing else is called:
    a plain name that is misspelt is the catalogue's to answer.
    """

    name = "ollama"
    precedence = 70

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the full name where the store has it, or where it has the shape of no other name."""
        from hwledger.library.ollama.reference import parse_name, states_tag  # noqa: PLC0415 - start-up time

        name = parse_name(ref)
        if name is None:
            return []
        from hwledger.library.ollama.store import find  # noqa: PLC0415 - start-up time

        return [str(name)] if states_tag(ref) or find(name) else []

    def named(self, ref: str) -> Sequence[str]:
        """Return the full name of whatever the prefix ``ollama:`` stands before."""
        from hwledger.library.ollama.reference import parse_name  # noqa: PLC0415 - start-up time

        name = parse_name(ref)
        return [str(name)] if name else []

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the header of the model's blob, or ask the server."""
        from hwledger.library.ollama.reference import parse_name  # noqa: PLC0415 - start-up time
        from hwledger.library.ollama.store import find, read_manifest  # noqa: PLC0415

        name = parse_name(ref)
        if name is None:
            raise MalformedError(f"{ref[:200]!r} is no name of a model of Ollama; write model:tag")
        path = find(name)
        return _from_store(read_manifest(path), access) if path else _from_server(name, access)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return names of the store that look like ``ref``."""
        from hwledger.library.ollama.store import names  # noqa: PLC0415 - start-up time

        return _near(ref, [str(name) for name in names()])


def _from_store(pulled: "Pulled", access: Access) -> ModelSpec:
    from hwledger.library.checkpoint import read_gguf_checkpoint  # noqa: PLC0415 - start-up time
    from hwledger.library.files import LocalFiles  # noqa: PLC0415
    from hwledger.library.sources.local import local_spec, recalled  # noqa: PLC0415

    blob = _weights(pulled)
    files = LocalFiles(blob.parent)
    read = recalled([blob], access, lambda: read_gguf_checkpoint(files, blob.name))
    spec = local_spec(replace(read, notes=(*read.notes, *_beside(pulled))), f"ollama:{pulled.name}")
    return _titled(spec, pulled.name)


def _weights(pulled: "Pulled") -> Path:
    """Return the one blob that is the model.

    Raises:
        InputError: the model is kept in another form.
        MissingError: the blob is not there.
    """
    from hwledger.library.ollama.store import MODEL, TENSOR  # noqa: PLC0415 - start-up time

    found = pulled.of(MODEL)
    if len(found) != 1:
        kept = f"{len(found)} GGUF layers" if found else "no GGUF layer"
        if pulled.of(TENSOR):
            kept = "single safetensors layers, which have no header to read"
        raise InputError(
            f"ollama:{pulled.name}: this model is kept in {kept}; plan the repository that it was made"
            " from, or another tag of it"
        )
    if not found[0].blob.is_file():
        raise MissingError(
            f"ollama:{pulled.name}: its blob {found[0].blob} is not there or may not be read; run:"
            f" ollama pull {pulled.name}"
        )
    return found[0].blob


def _beside(pulled: "Pulled") -> list[str]:
    """Return a sentence for everything that Ollama loads beside the model."""
    said = {"projector": "vision or audio projector", "adapter": "adapter"}
    return [
        f"its {what} ({layer.size:,} bytes) is loaded beside it and is not counted"
        for kind, what in said.items()
        for layer in pulled.of(kind)
    ]


def _from_server(name: "OllamaName", access: Access) -> ModelSpec:
    from hwledger.library.net.address import reaching  # noqa: PLC0415 - start-up time
    from hwledger.library.ollama.server import base_url  # noqa: PLC0415
    from hwledger.library.ollama.store import names, store_folders  # noqa: PLC0415
    from hwledger.library.remembered import remembered  # noqa: PLC0415

    url = base_url()
    reach = reaching(access, url)
    try:
        spec = remembered(
            f"ollama|{url}|{name}", reach, lambda: _ask(url, name, reach),
            identity=lambda: _identity(url, name, reach), unasked_s=0.0,
        )  # fmt: skip
    except (UnreachableError, MalformedError) as error:
        known = [str(each) for each in names()]
        if known:
            raise MissingError(f"{_no_such(name, known)} ({error})") from None
        if isinstance(error, OfflineError | MalformedError):
            raise
        looked = ", ".join(str(folder) for folder in store_folders())
        raise UnreachableError(
            f"Ollama is not to be found for {name}: no store in {looked}, and no server at {url};"
            " start it, or say where with OLLAMA_MODELS or OLLAMA_HOST"
        ) from None
    from hwledger.library.ollama.shown import with_file_weights  # noqa: PLC0415 - start-up time

    return _titled(with_file_weights(spec), name)


def _identity(url: str, name: "OllamaName", access: Access) -> str:
    """Return what the server calls what it keeps under a name now: pulled again, it may be another model."""
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time
    from hwledger.library.ollama.server import Server, digest_of, row_of  # noqa: PLC0415

    with Http(access) as http:
        return digest_of(row_of(Server(http, url).tags(), str(name)))


def _ask(url: str, name: "OllamaName", access: Access) -> "Read":
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time
    from hwledger.library.ollama.server import Server, digest_of, row_of  # noqa: PLC0415
    from hwledger.library.remembered import Read  # noqa: PLC0415
    from hwledger.model.reading import Reading  # noqa: PLC0415

    with Http(access) as http:
        server = Server(http, url)
        listed = server.tags()
        row = row_of(listed, str(name))
        try:
            found = _shown(server, name, row.get("size"))
        except MissingError:
            raise MissingError(_no_such(name, [str(row.get("name"))[:200] for row in listed])) from None
        reading = Reading(f"{url} ({name})", 1, http.bytes_read, http.requests)
        return Read(found, reading, identity=digest_of(row))


def _shown(server: "Server", name: "OllamaName", size: object) -> "Checkpoint":
    from hwledger.library.fields import whole  # noqa: PLC0415 - start-up time
    from hwledger.library.ollama.shown import lacks_arrays, shown_checkpoint  # noqa: PLC0415

    shown = server.show(str(name))
    if lacks_arrays(shown):
        shown = server.show(str(name), verbose=True)
    return shown_checkpoint(shown, f"ollama:{name}", whole(size))


def _no_such(name: "OllamaName", known: list[str]) -> str:
    near = _near(str(name), known) or known[:MOST_LISTED]
    hint = f"it has {', '.join(near)}" if near else "it has none at all"
    return f"Ollama has no model {name} here: {hint}; get it with: ollama pull {name}"


def _near(ref: str, known: list[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    return get_close_matches(ref, known, MOST_LISTED, 0.5)


def _titled(spec: ModelSpec, name: "OllamaName") -> ModelSpec:
    """Return the model with Ollama's name for it, under that name where its file states none."""
    blob = spec.origin.name if spec.origin and spec.origin.place is Place.FILE else ""
    spec = replace(spec, origin=Origin(place=Place.OLLAMA, name=str(name), path=blob))
    return spec if spec.metadata.get("general.name") else replace(spec, id=str(name))
