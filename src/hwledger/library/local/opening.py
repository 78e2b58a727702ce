"""Reading a model on this machine, by where it is, so that nothing is asked of a network."""

from dataclasses import dataclass
from pathlib import Path

from hwledger.errors import HwledgerError
from hwledger.library.access import Access
from hwledger.library.adapter import base_of, on_base
from hwledger.library.local.model import LocalModel
from hwledger.library.paths import shown
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What reading a model gave.

    Attributes:
        spec: the model, an adapter as its base with its own bytes; ``None`` where that cannot be told.
        base: the model that it is an adapter of; empty where it is none.
        problem: why there is no ``spec``, in a sentence.
    """

    spec: ModelSpec | None = None
    base: str = ""
    problem: str = ""


def read_local(model: LocalModel, access: Access) -> Opened:
    """Return what the headers of a model say, or why they cannot be read."""
    base = None
    try:
        spec = _read(model, access)
        base = base_of(spec)
        if base is None:
            return Opened(spec=spec)
        return Opened(spec=on_base(spec, open_model(base, access=access)), base=base)
    except HwledgerError as error:
        text = shown(" ".join(str(error).split()))
        if base is None:
            return Opened(problem=text)
        return Opened(base=base, problem=f"adapter of {shown(base)}, which cannot be read here: {text}")


def _read(model: LocalModel, access: Access) -> ModelSpec:
    if model.kind == "ollama" or model.path is None:
        from hwledger.library.sources.ollama import OllamaSource  # noqa: PLC0415 - start-up time

        return OllamaSource().open(model.ref.removeprefix("ollama:"), access)
    return _at(model.path, access)


def _at(path: Path, access: Access) -> ModelSpec:
    from hwledger.library.sources.folder import FolderSource  # noqa: PLC0415 - start-up time
    from hwledger.library.sources.gguf import GgufSource  # noqa: PLC0415

    return (FolderSource() if path.is_dir() else GgufSource()).open(str(path), access)
