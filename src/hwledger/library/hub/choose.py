"""Which checkpoint of a repository is meant: of several GGUF files, folders, copies and adapters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hwledger.errors import AmbiguousError, InputError, MissingError
from hwledger.library.hub.reference import HubReference
from hwledger.units import format_bytes

USUAL_QUANTS: Final = ("Q4_K_M", "Q8_0")
"""What ``latest`` means: the first of these that is there, else the first file (llama.cpp b11434
``common/download.cpp``)."""

_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_BESIDE: Final = re.compile(r"(^|/)(mmproj|[^/]*imatrix|ggml-vocab)[^/]*$|mmproj[^/]*$", re.IGNORECASE)
_LABEL: Final = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:IQ|TQ|Q)\d(?:_[A-Z0-9]+)*|BF16|FP16|F16|FP32|F32|MXFP4(?:_MOE)?|NVFP4)(?=[-._/]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class GgufModel:
    """One GGUF model of a repository; ``path`` is its only or first file."""

    path: str
    label: str
    size: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a repository is read.

    Attributes:
        folder: where, empty for the root.
        gguf: name of the GGUF file there; empty: the config and the weights beside it.
        notes: what else is there, in sentences.
    """

    folder: str
    gguf: str = ""
    notes: tuple[str, ...] = ()


def gguf_models(sizes: Mapping[str, int]) -> list[GgufModel]:
    """Return the GGUF models among files, split ones once, by their first file."""
    found: dict[str, GgufModel] = {}
    for path in sorted(sizes):
        if not path.lower().endswith(".gguf") or _BESIDE.search(path):
            continue
        stem = _SHARD.sub("", path)
        first = found.get(stem)
        found[stem] = GgufModel(
            first.path if first else path, quant_label(stem), (first.size if first else 0) + sizes[path]
        )
    return list(found.values())


def quant_label(path: str) -> str:
    """Return the quantisation that a file's name states (``Q4_K_M``); empty where it states none."""
    labels = _LABEL.findall(path.removesuffix(".gguf"))
    return labels[-1].upper() if labels else ""


def choose(sizes: Mapping[str, int], ref: HubReference) -> Choice:
    """Return the checkpoint that ``ref`` means among the files of its repository.

    Raises:
        AmbiguousError: several models are there, and the reference does not say which.
        MissingError: nothing of that name is there.
        InputError: what is there is no language model.
    """
    if ref.path in sizes:
        return _file(sizes, ref)
    folder = ref.path.strip("/")
    here = {path: size for path, size in sizes.items() if not folder or path.startswith(f"{folder}/")}
    if not here:
        raise MissingError(f"{ref.repo}: there is no {ref.path!r} in this repository")
    models = gguf_models(here)
    if ref.quant:
        return _by_quant(models, ref)
    names = {path for path in here if "/" not in path[len(folder) + bool(folder) :]}
    base = {path.rpartition("/")[2] for path in names}
    if any(name.endswith((".safetensors", ".npz")) for name in base) or (
        "config.json" in base and not models
    ):
        beside = (f"GGUF files are there as well: {_listed(models, ref)}",) if models else ()
        return Choice(folder, notes=beside)
    if models:
        return _only(models, ref)
    return _in_folders(here, folder, ref)


def _file(sizes: Mapping[str, int], ref: HubReference) -> Choice:
    folder, _, name = ref.path.rpartition("/")
    if not name.lower().endswith(".gguf"):
        return Choice(folder)
    shard = _SHARD.search(ref.path)
    if shard:
        first = f"{_SHARD.sub('', ref.path)}-00001-of-{shard[2]}.gguf"
        if first not in sizes:
            raise MissingError(f"{ref.repo}: {first}, the first part of {ref.path}, is not there")
        name = first.rpartition("/")[2]
    return Choice(folder, name)


def _by_quant(models: list[GgufModel], ref: HubReference) -> Choice:
    if not models:
        raise MissingError(f"{ref.repo}: there are no GGUF files, so no {ref.quant}; leave out :{ref.quant}")
    if ref.quant.lower() == "latest":
        return _gguf(next((model for usual in USUAL_QUANTS for model in _labelled(models, usual)), models[0]))
    found = _labelled(models, ref.quant.upper())
    if not found:
        raise MissingError(f"{ref.repo}: there is no {ref.quant}; there are {_listed(models, ref)}")
    if len(found) > 1:
        raise AmbiguousError(str(ref), [f"{ref.at}/{model.path}" for model in found])
    return _gguf(found[0])


def _labelled(models: list[GgufModel], label: str) -> list[GgufModel]:
    return [m for m in models if m.label == label] or [
        m for m in models if m.label.removeprefix("UD-") == label
    ]


def _only(models: list[GgufModel], ref: HubReference) -> Choice:
    if len(models) == 1:
        return _gguf(models[0])
    labels = [model.label for model in models]
    clear = all(labels) and len(set(labels)) == len(labels)
    raise AmbiguousError(
        str(ref),
        [f"{ref.at.removeprefix('hf:')}:{m.label}" if clear else f"{ref.at}/{m.path}" for m in models],
    )


def _gguf(model: GgufModel) -> Choice:
    folder, _, name = model.path.rpartition("/")
    return Choice(folder, name)


def _in_folders(here: Mapping[str, int], folder: str, ref: HubReference) -> Choice:
    """Handle a repository with nothing at its root: checkpoints in folders, or no language model at all."""
    if any(path.endswith("model_index.json") for path in here):
        raise InputError(
            f"{ref.repo}: this is a pipeline for pictures or sound (diffusers) and no language model"
        )
    marks = ("config.json", ".safetensors")
    folders = sorted({p.rpartition("/")[0] for p in here if p.endswith(marks)} - {folder, ""})
    if len(folders) == 1:
        return Choice(folders[0], notes=(f"read from the folder {folders[0]}",))
    if folders:
        raise AmbiguousError(str(ref), [f"{ref.at}/{name}" for name in folders])
    raise InputError(f"{ref.repo}: no model here: no config.json, no .gguf, .safetensors or .npz file")


def _listed(models: list[GgufModel], ref: HubReference) -> str:
    shown = [f":{m.label} ({format_bytes(m.size)})" if m.label else f"{ref.at}/{m.path}" for m in models]
    return ", ".join(shown[:24]) + (f" and {len(shown) - 24} more" if len(shown) > 24 else "")  # noqa: PLR2004
