"""What llama.cpp assumes of an architecture where the file says nothing, from ``data/architectures.csv``."""

import csv
from dataclasses import dataclass
from functools import cache

from hwledger.shipped import shipped_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Defaults of one architecture (llama.cpp b11434, the file in ``source``, ``load_arch_hparams``).

    Attributes:
        sliding: when layers slide: ``always``; ``window``: where the file states a window;
            ``unless_zero``: unless it states 0; ``layers_64``: in models of 64 layers; ``attention``:
            all attention layers where a window is stated; empty: never.
        window: window in tokens where the file states none.
        fixed_window: ``window`` holds whatever the file states.
        pattern: every how manieth layer is full, where the file does not list them; 0: all slide.
        dense_first: the full layer leads each group, otherwise it closes it.
        recurrent: which layers keep a state: ``all``, ``both`` (beside attention), ``kv_zero`` (no KV
            heads), ``kv_ff_zero`` (neither KV heads nor feed-forward), ``every_N`` (all but each Nth).
        traits: the rest, as words.
        source: file in llama.cpp's tree.
    """

    sliding: str = ""
    window: int = 0
    fixed_window: bool = False
    pattern: int = 0
    dense_first: bool = False
    recurrent: str = ""
    traits: frozenset[str] = frozenset()
    source: str = "src/llama-model.cpp load_hparams"


@cache
def _table() -> dict[str, Architecture]:
    text = shipped_text("hwledger.library.gguf", "data/architectures.csv")
    return {row["architecture"]: _read(row) for row in csv.DictReader(text.splitlines())}


def _read(row: dict[str, str]) -> Architecture:
    return Architecture(
        sliding=row["sliding"],
        window=int(row["window"].lstrip("=") or 0),
        fixed_window=row["window"].startswith("="),
        pattern=int(row["pattern"] or 0),
        dense_first=row["dense_first"] == "yes",
        recurrent=row["recurrent"],
        traits=frozenset(row["traits"].split()),
        source=row["source"],
    )


def architecture(name: str) -> Architecture:
    """Return the defaults of ``name``; plain full attention where llama.cpp has no special rule."""
    return _table().get(name, Architecture())
