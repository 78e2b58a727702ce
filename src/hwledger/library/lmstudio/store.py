"""LM Studio's models folder: ``<publisher>/<repository>/<file>``.

The folder is ``models`` in LM Studio's home or the ``downloadsFolder`` of its settings; the home is what
``~/.lmstudio-home-pointer`` names, else ``~/.lmstudio`` or the older ``~/.cache/lm-studio`` (read by ``lms``
and the SDK; checked against LM Studio 0.3 and 0.4).
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hwledger.errors import HwledgerError
from hwledger.library.fields import mapping, whole
from hwledger.library.files import LocalFiles, read_whole
from hwledger.library.hub.choose import quant_label
from hwledger.library.json_file import parse_json_object
from hwledger.library.local.model import LocalModel, Stat, on_disk
from hwledger.library.local.parts import gguf_parts, lacking
from hwledger.library.local.walking import entries, is_folder, walk
from hwledger.library.paths import shown

LARGEST_SETTINGS: Final = 4 << 20
LONGEST_PATH: Final = 4096
MOST_REPOSITORIES: Final = 10_000
_WEIGHTS: Final = (".safetensors", ".npz")
_ALL_WEIGHTS: Final = (*_WEIGHTS, ".gguf")
_FORMAT: Final = re.compile(r"[-_.](gguf|mlx)(?=[-_.]|$)")
_BITS: Final = re.compile(r"[-_.](\d+bit|bf16|fp16)$")


@dataclass(frozen=True, slots=True)
class Stored:
    """One model of the folder.

    Attributes:
        publisher, repository: folders that it lies in, as they are printed.
        path: its GGUF file (the first of several), or the folder of its config and weights.
        file: the GGUF file within the repository, as it is printed; empty for a folder.
        size: bytes of its weights.
        beside: bytes of the projectors that lie in the same folder.
        label: how it is packed (``Q4_K_M``, ``4bit``); empty where that is not told.
        files: its files and the projectors.
    """

    publisher: str
    repository: str
    path: Path
    file: str
    size: int
    beside: int
    label: str
    files: tuple[Stat, ...] = ()

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
            path=model.path, size_bytes=on_disk(model.files), quantisation=model.label, files=model.files,
            problem=lacking(file.name for file in model.files if file.name.endswith(_ALL_WEIGHTS)),
        )
        for model in stored()
    ]  # fmt: skip


def _in_folder(folder: Path) -> Iterator[Stored]:
    for publisher, repository in _repositories(folder)[:MOST_REPOSITORIES]:
        yield from _in_repository(publisher, repository)


def _repositories(folder: Path) -> list[tuple[str, Path]]:
    """Return the repositories with their publishers; one that several links lead to once, by its own name.

    A link back into the folder itself, or to a publisher in it, is no repository.
    """
    root = Path(os.path.realpath(folder))
    back = {root, *root.parents}
    publishers: dict[Path, str] = {}
    for entry in sorted(_folders(root), key=lambda entry: entry.is_symlink()):
        if (real := _real(root, entry)) not in back:
            publishers.setdefault(real, entry.name)
    above = back.union(publishers)
    found: list[tuple[bool, str, str, Path]] = []
    for publisher, name in publishers.items():
        for entry in _folders(publisher):
            real = _real(publisher, entry)
            if real not in above:
                found.append((real != root / name / entry.name, name, entry.name, real))
    once: dict[Path, tuple[str, Path]] = {}
    for _, name, repository, real in sorted(found):
        once.setdefault(real, (name, folder / name / repository))
    return sorted(once.values())


def _in_repository(publisher: str, folder: Path) -> Iterator[Stored]:
    files = walk(folder)[0]
    said = shown(publisher), shown(folder.name)
    for model, own in gguf_parts(files):
        beside = [file for file in files if _is_projector(file.name) and _same_folder(file.name, model.path)]
        yield Stored(
            *said, folder / model.path, shown(model.path), model.size, on_disk(beside), model.label,
            (*own, *beside),
        )  # fmt: skip
    weights = on_disk(file for file in files if file.name.endswith(_WEIGHTS))
    if weights and any(file.name == "config.json" for file in files):
        plain = tuple(file for file in files if not file.name.lower().endswith(".gguf"))
        yield Stored(*said, folder, "", weights, 0, _bits(folder), plain)


def _is_projector(name: str) -> bool:
    return "mmproj" in name.lower() and name.lower().endswith(".gguf")


def _same_folder(one: str, other: str) -> bool:
    return one.rpartition("/")[0] == other.rpartition("/")[0]


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


def _folders(folder: Path) -> "list[os.DirEntry[str]]":
    return [entry for entry in entries(folder) if not entry.name.startswith(".") and is_folder(entry)]


def _real(folder: Path, entry: "os.DirEntry[str]") -> Path:
    """Return where a folder in a real folder really is."""
    return Path(os.path.realpath(entry)) if entry.is_symlink() else folder / entry.name
