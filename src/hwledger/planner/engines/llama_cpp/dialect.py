"""What llama.cpp makes of a model family beyond its layers, from ``data/dialects.csv``."""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.model.spec import ModelSpec
from hwledger.shipped import shipped_text

FIRST_WITHOUT_CACHE: Final = 5320
"""First build, about, that runs encoders without a cache (llama.cpp pull request 13108)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How llama.cpp treats one architecture.

    Attributes:
        windows: sliding and chunked layers keep their window only; otherwise the whole context.
        index_values: an index cache holds V rows too.
        cached: the architecture keeps a cache at all; encoders and diffusion models do not.
        empty_layers: layers without attention take part in the cache.
        flash: flash attention can be used; otherwise it is switched off without asking.
        rollback: recurrent states can be kept for roll-back (``n_rs_seq``).
    """

    windows: bool = True
    index_values: bool = False
    cached: bool = True
    empty_layers: bool = False
    flash: bool = True
    rollback: bool = False


@cache
def dialects() -> dict[str, frozenset[str]]:
    """Traits of each architecture that has any, by its plain name."""
    text = shipped_text("hwledger.planner.engines.llama_cpp", "data/dialects.csv")
    return {
        row["architecture"]: frozenset(row["traits"].split()) for row in csv.DictReader(text.splitlines())
    }


def dialect_of(spec: ModelSpec, build: int) -> Dialect:
    """Return how ``build`` of llama.cpp treats ``spec``.

    A GGUF file says which layers slide. A config says what the model was trained with, and llama.cpp
    honours that only for families whose graph it wrote with a windowed cache.
    """
    traits = dialects().get(_plain(spec.architecture), frozenset())
    return Dialect(
        windows=spec.format == "gguf" or "windows" in traits,
        index_values="index_values" in traits,
        cached="uncached" not in traits or build < FIRST_WITHOUT_CACHE,
        empty_layers="empty_layers" in traits,
        flash="no_flash" not in traits,
        rollback="rollback" in traits,
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(".", "").removesuffix("text")
