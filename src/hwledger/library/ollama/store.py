"""Ollama's store on disk: manifests by name, and blobs by digest.

Layout: ``manifests/<host>/<namespace>/<model>/<tag>`` is a JSON manifest, whose layers lie under
``blobs/sha256-<digest>`` (ollama ``manifest/paths.go``, ``server/modelpath.go``). Everything that a
manifest says is checked: a digest is 64 hex digits or it is refused, so no path leads out of the store.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hwledger.errors import HwledgerError, MalformedError
from hwledger.library.fields import mapping, rows, text, whole
from hwledger.library.files import LocalFiles, read_whole
from hwledger.library.json_file import parse_json_object
from hwledger.library.local.model import LocalModel
from hwledger.library.ollama.reference import OllamaName, parse_name

MODEL: Final = "model"
TENSOR: Final = "tensor"
LARGEST_MANIFEST: Final = 4 << 20
"""A manifest is about 1 kB; one of a model in thousands of tensor layers is some 100 kB."""
MOST_MODELS: Final = 10_000
_IMAGE: Final = "application/vnd.ollama.image."
_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of a model: its kind (``model``, ``projector``, ``params``), blob and size."""

    kind: str
    blob: Path
    size: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """One model of the store.

    Attributes:
        name: what it is called.
        manifest: its manifest.
        layers: its parts, in order.
        config: blob of the facts that Ollama shows in lists; ``None`` where there is none.
    """

    name: OllamaName
    manifest: Path
    layers: tuple[Layer, ...]
    config: Path | None = None

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(layer.size for layer in self.layers)

    def of(self, kind: str) -> list[Layer]:
        """Return the parts of one kind."""
        return [layer for layer in self.layers if layer.kind == kind]


def store_folders() -> list[Path]:
    """Return the folders that may be a store: ``OLLAMA_MODELS`` alone where it is set, else the usual ones.

    Sources: ollama ``envconfig/config.go`` (``OLLAMA_MODELS``), ``docs/faq.md`` (macOS, Linux, Windows),
    ``scripts/install.sh`` (home of the service's user).
    """
    chosen = os.environ.get("OLLAMA_MODELS", "").strip()
    if chosen:
        return [Path(chosen).expanduser()]
    folders = [Path.home() / ".ollama" / "models"]
    if sys.platform.startswith("linux"):
        folders += [Path(home) / ".ollama" / "models" for home in ("/usr/share/ollama", "/var/lib/ollama")]
        folders.append(Path("/var/lib/ollama/models"))
    return folders


def stores() -> list[Path]:
    """Return the folders among ``store_folders`` that hold manifests."""
    return [folder for folder in store_folders() if _entries(folder / "manifests")]


def names() -> dict[OllamaName, Path]:
    """Return every model of every store by name, with its manifest; the first store wins."""
    found: dict[OllamaName, Path] = {}
    for store in stores():
        for name, path in _manifests(store):
            found.setdefault(name, path)
            if len(found) == MOST_MODELS:
                return found
    return found


def find(name: OllamaName) -> Path | None:
    """Return the manifest of ``name``; ``None``: it is in no store. Case does not count."""
    for store in stores():
        path = store.joinpath("manifests", *name.parts)
        if path.is_file():
            return path
    return next((path for known, path in names().items() if known.key == name.key), None)


def read_manifest(path: Path) -> Pulled:
    """Return the model that a manifest of a store describes.

    Raises:
        MalformedError: it is broken or hostile.
        InputError: it cannot be read.
    """
    store = path.parents[4]
    name = parse_name("/".join(path.relative_to(store / "manifests").parts[:-1]) + f":{path.name}")
    if name is None:
        raise MalformedError(f"{path}: this manifest lies under no name of a model; pull the model again")
    raw = _json(path)
    layers = tuple(_layer(store, row, path) for row in rows(raw.get("layers")))
    config = mapping(raw.get("config")).get("digest")
    return Pulled(name, path, layers, _blob(store, config, path) if config else None)


def params_of(pulled: Pulled) -> dict[str, Any]:
    """Return the parameters that the model comes with (``num_ctx``, ``num_gpu``).

    Raises:
        InputError: they cannot be read.
    """
    found: dict[str, Any] = {}
    for layer in pulled.of("params"):
        found |= _json(layer.blob)
    return found


def models() -> list[LocalModel]:
    """Return the models of every store by name; a manifest that cannot be used is left out."""
    found = []
    for path in names().values():
        try:
            found.append(_listed(read_manifest(path)))
        except HwledgerError:
            continue
    return sorted(found, key=lambda model: model.name)


def _listed(pulled: Pulled) -> LocalModel:
    weights = pulled.of(MODEL)
    try:
        facts = _json(pulled.config) if pulled.config else {}
    except HwledgerError:  # a list goes on without the facts of one model
        facts = {}
    return LocalModel(
        ref=f"ollama:{pulled.name}", name=str(pulled.name), kind="ollama",
        path=weights[0].blob if weights else None, size_bytes=pulled.size,
        quantisation=text(facts.get("file_type")), parameters=text(facts.get("model_type")),
    )  # fmt: skip


def _manifests(store: Path) -> Iterator[tuple[OllamaName, Path]]:
    root = store / "manifests"
    for host in _entries(root):
        for namespace in _entries(host):
            for model in _entries(namespace):
                for tag in _entries(model):
                    name = parse_name(f"{host.name}/{namespace.name}/{model.name}:{tag.name}")
                    if name and tag.is_file():
                        yield name, tag


def _layer(store: Path, row: Any, path: Path) -> Layer:
    kind = text(row.get("mediaType"))
    return Layer(
        kind.removeprefix(_IMAGE), _blob(store, row.get("digest"), path), whole(row.get("size")) or 0
    )


def _blob(store: Path, digest: object, path: Path) -> Path:
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if not match:
        raise MalformedError(
            f"{path}: this manifest names a layer by {str(digest)[:80]!r} and not by a sha256 digest;"
            " pull the model again"
        )
    return store / "blobs" / f"sha256-{match[1]}"


def _json(path: Path) -> dict[str, Any]:
    return parse_json_object(read_whole(LocalFiles(path.parent), path.name, LARGEST_MANIFEST), str(path))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []
