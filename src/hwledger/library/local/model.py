"""One model on this machine, as the program that keeps it knows it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """One model on this machine.

    Attributes:
        ref: what to type to plan it.
        name: what the keeping program calls it.
        kind: who keeps it: ``hub cache``, ``ollama``, ``lm studio``, ``llama.cpp`` or ``mlx``.
        path: file or folder that its headers are in; ``None`` where that cannot be told.
        size_bytes: what it takes on disk.
        quantisation: as the program states it; empty where it does not.
        parameters: as the program states it (``8.0B``); empty where it does not.
    """

    ref: str
    name: str
    kind: str
    path: Path | None
    size_bytes: int
    quantisation: str = ""
    parameters: str = ""
