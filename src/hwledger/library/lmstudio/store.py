"""LM Studio's models folder: ``<publisher>/<repository>/<file>``.

The folder is ``models`` in LM Studio's home or the ``downloadsFolder`` of its settings; the home is what
``~/.lmstudio-home-pointer`` names, else ``~/.lmstudio`` or the older ``~/.cache/lm-studio`` (read by ``lms``
and the SDK; checked against LM Studio 0.3 and 0.4).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hwledger.errors import HwledgerError
from hwledger.library.fields import mapping, whole
from hwledger.library.files import LocalFiles, read_whole
from hwledger.library.hub.cache import snapshot_sizes
from hwledger.library.hub.choose import gguf_models, quant_label
from hwledger.library.json_file import parse_json_object
from hwledger.library.local.model import LocalModel

LARGEST_SETTINGS: Final = 4 << 20
LONGEST_PATH: Final = 4096
MOST_REPOSITORIES: Final = 10_000
_WEIGHTS: Final = (".safetensors", ".npz")
_FORMAT: Final = re.compile(r"[-_.](gguf|mlx)(?=[-_.]|$)")
_BITS: Final = re.compile(r"[-_.](\d+bit|bf16|fp16)$")


@dataclass(frozen=True, slots=True)
class Stored:
    """One model of the folder.

    Attributes:
        publisher, repository: folders that it lies in.
        path: its GGUF file (the first of several), or the folder of its config and weights.
        file: the GGUF file within the repository; empty for a folder.
        size: bytes of its weights.
        beside: bytes of the projectors that lie beside it.
        label: how it is packed (``Q4_K_M``, ``4bit``); empty where that is not told.
    """

    publisher: str
    repository: str
    path: Path
    file: str
    size: int
    beside: int
    label: str

    @property
    def ref(self) -> str:
        """The model as LM Studio writes its path."""
        return "/".join(part for part in (self.publisher, self.repository, self.file) if part)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything in lower case that people call it, the most certain first."""
        repo, name = self.repository.lower(), self.file.rpartition("/")[2].lower()
        stem = name.removesuffix(".gguf")
        plain = (key_of(repo), key_of(stem)) if stem else (key_of(repo),)
        return (
            self.ref.lower(),
            *((name, stem) if name else ()),
            f"{self.publisher.lower()}/{repo}",
            repo,
            *plain,
        )


def key_of(name: str) -> str:
    """Return the key that LM Studio makes of a file's or repository's name: no format, no quantisation."""
    found = _FORMAT.sub("", name.lower())
    label = quant_label(found)
    if label:
        found = found.removesuffix(label.lower()).rstrip("-_.")
    return _BITS.sub("", found)


def home_folders() -> list[Path]:
    """Return the folders that may be LM Studio's home, the one that is pointed to first."""
    home = Path.home()
    pointed = _pointer(home / ".lmstudio-home-pointer")
    usual = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    return [pointed, *(folder for folder in usual if folder != pointed)] if pointed else usual


def models_folders() -> list[Path]:
    """Return the folders that may hold models: those that settings name, then the usual ones."""
    found: list[Path] = []
    for home in home_folders():
        chosen = read_settings(home / "settings.json").get("downloadsFolder")
        if isinstance(chosen, str) and 0 < len(chosen) < LONGEST_PATH and "\0" not in chosen:
            found.append(Path(chosen).expanduser())
        found.append(home / "models")
    return list(dict.fromkeys(found))


def read_settings(path: Path) -> Mapping[str, Any]:
    """Return a settings file of LM Studio's; empty where there is none that can be read."""
    try:
        return parse_json_object(read_whole(LocalFiles(path.parent), path.name, LARGEST_SETTINGS), str(path))
    except HwledgerError:  # LM Studio starts without it, too
        return {}


def stored() -> list[Stored]:
    """Return every model of every folder, by its path."""
    found: dict[str, Stored] = {}
    for folder in models_folders():
        for model in _in_folder(folder):
            found.setdefault(model.ref.lower(), model)
    return sorted(found.values(), key=lambda model: model.ref.lower())


def match(ref: str) -> list[Stored]:
    """Return the models that ``ref`` can mean: a path, a file, a repository or a key, with ``@variant``."""
    name, _, variant = ref.lower().partition("@")
    known = [model for model in stored() if not variant or same_label(model.label, variant)]
    for wanted in (name, key_of(name.rpartition("/")[2].removeprefix("text-embedding-"))):
        rank = {model.ref: model.names.index(wanted) for model in known if wanted in model.names}
        if wanted and rank:
            best = [model for model in known if model.ref in rank]
            exact = [model for model in best if rank[model.ref] == 0]
            return exact or best
    return []


def same_label(one: str, other: str) -> bool:
    """Whether two names of a quantisation are the same."""
    return one.lower().replace("-", "_") == other.lower().replace("-", "_")


def models() -> list[LocalModel]:
    """Return the models of the folder for a list."""
    return [
        LocalModel(
            ref=f"lmstudio:{model.ref}", name=f"{model.publisher}/{model.repository}", kind="lm studio",
            path=model.path, size_bytes=model.size + model.beside, quantisation=model.label,
        )
        for model in stored()
    ]  # fmt: skip


def _in_folder(folder: Path) -> Iterator[Stored]:
    count = 0
    for publisher in _folders(folder):
        for repository in _folders(publisher):
            count += 1
            if count > MOST_REPOSITORIES:
                return
            yield from _in_repository(publisher.name, repository)


def _in_repository(publisher: str, folder: Path) -> Iterator[Stored]:
    sizes = snapshot_sizes(folder)
    beside = sum(
        size for name, size in sizes.items() if "mmproj" in name.lower() and name.lower().endswith(".gguf")
    )
    for model in gguf_models(sizes):
        yield Stored(publisher, folder.name, folder / model.path, model.path, model.size, beside, model.label)
    weights = sum(size for name, size in sizes.items() if name.endswith(_WEIGHTS))
    if weights and "config.json" in sizes:
        yield Stored(publisher, folder.name, folder, "", weights, 0, _bits(folder))


def _bits(folder: Path) -> str:
    """Return how MLX packed the weights of a folder, in LM Studio's words."""
    bits = whole(mapping(read_settings(folder / "config.json").get("quantization")).get("bits"))
    return f"{bits}bit" if bits else ""


def _pointer(path: Path) -> Path | None:
    try:
        lines = path.read_bytes()[:LONGEST_PATH].decode("utf-8").strip().splitlines()
        pointed = Path(lines[0].strip()) if lines else None
        return pointed if pointed and pointed.is_dir() else None
    except (OSError, ValueError):
        return None


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except (OSError, ValueError):
        return []
