"""Models in the hub's cache: every repository, whole or not, at every revision that is there."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwledger.errors import HwledgerError
from hwledger.library.fields import mapping
from hwledger.library.files import LocalFiles
from hwledger.library.hub.cache import hub_cache_folder
from hwledger.library.hub.reference import parse_reference
from hwledger.library.json_file import read_json_object
from hwledger.library.local.model import LocalModel, Stat, on_disk
from hwledger.library.local.parts import WEIGHTS, gguf_parts, incomplete, lacking
from hwledger.library.local.walking import entries, is_folder, walk
from hwledger.library.paths import shown

KIND: Final = "hub cache"
ONLY_CONFIG: Final = "only its config is here, no weights"
CUT_OFF: Final = "incomplete: its weights are still being downloaded, or that was cut off"
PIPELINE: Final = "a pipeline for pictures or sound (diffusers) and no language model"
_REPO: Final = re.compile(
    r"models--(?P<publisher>[^-].*?)--(?P<name>.+)|models--(?P<short>[^-]+.*)", re.DOTALL
)
_NAMED: Final = re.compile(r"(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_CONFIGS: Final = frozenset({"config.json", "adapter_config.json"})
_INDEX: Final = (".safetensors.index.json", ".bin.index.json")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One revision of a repository: ``revision`` is empty for the main one."""

    home: str
    repo: str
    path: str
    revision: str
    files: tuple[Stat, ...]
    gone: tuple[str, ...]

    def ref(self, what: str = "", label: str = "") -> str:
        """Return what to type for a folder, a file or a quantisation; a path where the hub has no name."""
        at = f"@{self.revision}" if self.revision else ""
        tail = f":{label}" if label else f"/{what}" if what else ""
        named = f"{self.repo}{at}{tail}"
        if _NAMED.fullmatch(named):
            return f"hf:{named}"
        try:
            known = parse_reference(named, short=True)
        except HwledgerError:
            known = None
        return f"hf:{named}" if known and named.isprintable() else shown(f"{self.path}/{what}".rstrip("/"))

    @property
    def name(self) -> str:
        """The repository with its revision."""
        at = self.revision[:7] if _COMMIT.fullmatch(self.revision) else self.revision
        return shown(self.repo + (f"@{at}" if at else ""))


def hub_cache_models() -> Iterator[LocalModel]:
    """Yield the models of the hub's cache, whole or not.

    They are those of the main revision, of every other branch or tag that is there, and of bare commits where
    the main one is not there. GGUF files count one by one; what else a repository holds counts as one model,
    adapters too.
    """
    for entry in entries(hub_cache_folder()):
        match = _REPO.fullmatch(entry.name)
        if not match or not is_folder(entry):
            continue
        repo = match["short"] or f"{match['publisher']}/{match['name']}"
        yield from _in_repository(entry.path, repo)


def _in_repository(home: str, repo: str) -> Iterator[LocalModel]:
    found = False
    for revision, path in _revisions(home):
        files, gone = walk(path)
        for model in _in_snapshot(_Snapshot(home, repo, path, revision, tuple(files), tuple(gone))):
            found = True
            yield model
    if not found and (begun := _begun(home)):
        none = _Snapshot(home, repo, home, "", (), ())
        yield LocalModel(
            ref=none.ref(), name=none.name, kind=KIND, path=None, size_bytes=on_disk(begun),
            files=tuple(begun), problem=CUT_OFF,
        )  # fmt: skip


def _revisions(home: str) -> Iterator[tuple[str, str]]:
    """Yield revisions with their snapshots, the main one under an empty name."""
    here = {entry.name: entry.path for entry in entries(f"{home}/snapshots") if is_folder(entry)}
    refs = _refs(home) if here else {}
    main = refs.pop("main", "")
    if main in here:
        yield "", here.pop(main)
        left = False
    else:
        left = True
    for name, commit in refs.items():
        if commit in here:
            yield name, here.pop(commit)
    for commit, path in here.items() if left else ():
        yield commit, path


def _refs(home: str) -> dict[str, str]:
    """Return the commits of branches, tags and pull requests by name."""
    found = {}
    for entry in entries(f"{home}/refs"):
        inner = [f"{entry.name}/{file.name}" for file in walk(entry.path)[0]] if is_folder(entry) else []
        for name in inner or [entry.name]:
            try:
                with open(f"{home}/refs/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - half the time
                    found[name] = file.read(64).decode("ascii").strip()
            except (OSError, ValueError):
                continue
    return found


def _in_snapshot(snapshot: _Snapshot) -> Iterator[LocalModel]:
    ggufs = list(gguf_parts(snapshot.files))
    for folder in _folders(snapshot, beside=bool(ggufs)):
        yield _folder(snapshot, folder)
    labels = Counter(model.label for model, _ in ggufs)
    for model, files in ggufs:
        names = [file.name for file in files]
        label = model.label if labels[model.label] == 1 else ""
        yield LocalModel(
            ref=snapshot.ref(model.path, label), name=f"{snapshot.name}:{shown(label or model.path)}",
            kind=KIND, path=Path(snapshot.path, model.path), size_bytes=on_disk(files),
            quantisation=model.label, files=files, problem=lacking(names, _of_set(snapshot.gone, names)),
        )  # fmt: skip


def _folders(snapshot: _Snapshot, *, beside: bool) -> list[str]:
    """Return the folders that are a model: the root where it is one, else those below it.

    ``beside``: GGUF models are there, so that a config alone is theirs.
    """
    root = [file.name for file in snapshot.files if "/" not in file.name]
    lost = [name for name in snapshot.gone if "/" not in name and _is_weights(name)]
    if lost or any(map(_is_weights, root)) or (not beside and not _CONFIGS.isdisjoint(root)):
        return [""]
    if any(name.endswith("model_index.json") for name in root):
        return [""]
    names = [name for name in (*(file.name for file in snapshot.files), *snapshot.gone) if "/" in name]
    marked = {name.rpartition("/")[0] for name in names if _marks(name)}
    return [] if beside else sorted(marked)


def _marks(name: str) -> bool:
    return name.endswith((".safetensors", ".npz", *_INDEX)) or name.rpartition("/")[2] in _CONFIGS


def _is_weights(name: str) -> bool:
    return name.endswith((*WEIGHTS, *_INDEX))


def _folder(snapshot: _Snapshot, folder: str) -> LocalModel:
    under = f"{folder}/" if folder else ""
    files = tuple(file for file in snapshot.files if file.name.startswith(under))
    weights = [file for file in files if file.name.endswith(WEIGHTS)]
    problem, note = _state(snapshot, under, files, weights)
    return LocalModel(
        ref=snapshot.ref(folder), name=f"{snapshot.name}{f'/{shown(folder)}' if folder else ''}", kind=KIND,
        path=Path(snapshot.path, folder), size_bytes=on_disk(weights or files), files=files, problem=problem,
        note=note,
    )  # fmt: skip


def _state(
    snapshot: _Snapshot, under: str, files: Sequence[Stat], weights: Collection[Stat]
) -> tuple[str, str]:
    """Return what is wrong with a folder, and what else there is to say of it."""
    gone = [name for name in snapshot.gone if name.startswith(under) and _is_weights(name)]
    problem = lacking([file.name for file in weights], gone)
    if not problem and not under and any(file.name == "model_index.json" for file in files):
        problem = PIPELINE
    if problem or weights:
        return problem, ""
    index = next((file.name for file in files if file.name.endswith(_INDEX)), None)
    if index:
        return incomplete(0, _shards(snapshot.path, index)), ""
    return (CUT_OFF, "") if _begun(snapshot.home) else ("", ONLY_CONFIG)


def _shards(folder: str, index: str) -> int:
    try:
        places = mapping(read_json_object(LocalFiles(Path(folder)), index).get("weight_map"))
    except HwledgerError:
        return 1
    return len({str(place) for place in places.values()}) or 1


def _of_set(gone: Collection[str], names: Collection[str]) -> list[str]:
    """Return the lost links that belong to the same set of numbered files."""
    stems = {name.rpartition("-of-")[0][:-6] for name in names if "-of-" in name}
    return [name for name in gone if "-of-" in name and name.rpartition("-of-")[0][:-6] in stems]


def _begun(home: str) -> list[Stat]:
    """Return what is there of downloads that did not end."""
    return [file for file in walk(f"{home}/blobs")[0] if file.name.endswith(".incomplete")]
