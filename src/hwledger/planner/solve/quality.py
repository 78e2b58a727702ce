"""What a quantisation costs in quality: published figures, each with its source; unknown is said.

Figures of different tests do not compare: an answer ranks two types only where the same test on the same
model scored both, or where one of them is what the model is stored as.
"""

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from hwledger.errors import HwledgerError
from hwledger.model.ggml_mixes import ggml_mix, is_ggml_mix
from hwledger.model.number_types import number_type
from hwledger.model.packings import named_packings
from hwledger.shipped import shipped_text

WEIGHTS: Final = "weights"
KV_CACHE: Final = "kv_cache"
KEPT: Final = 4096
"""Answers about types that are kept; a search asks the same ones very often."""
PLAIN: Final = frozenset({"bf16", "f16", "f32", "auto"})
WORDS: Final = {
    "kl_divergence": "KL divergence {value:.4g} nats ({model})",
    "recovery": "{percent:.1f} % of the scores ({model})",
    "perplexity_ratio": "perplexity x {value:.3f} ({model})",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One published figure of one type.

    Attributes:
        kind: ``weights`` or ``kv_cache``.
        type: number type, packing or mix.
        metric: ``kl_divergence`` (nats per token, 0: the same), ``recovery`` (share of the unquantised
            model's benchmark scores) or ``perplexity_ratio``.
        value, low, high: the figure and its published uncertainty.
        model: what was tested.
        note: how.
        source: where it was published.
    """

    kind: str
    type: str
    metric: str
    value: float
    low: float
    high: float
    model: str
    note: str
    source: str

    @property
    def loss(self) -> float:
        """The figure as a loss: 0 is no loss, more is worse; comparable within one metric and model."""
        return self.value if self.metric == "kl_divergence" else abs(1 - self.value)

    @property
    def sentence(self) -> str:
        """The figure in words."""
        return WORDS[self.metric].format(value=self.value, percent=100 * self.value, model=self.model)


@cache
def evidence() -> tuple[Evidence, ...]:
    """Return every published figure that ships, in the order of the table."""
    text = shipped_text("hwledger.planner.solve", "data/quality.csv")
    return tuple(
        Evidence(
            kind=row["kind"], type=row["type"], metric=row["metric"], value=float(row["value"]),
            low=float(row["low"] or row["value"]), high=float(row["high"] or row["value"]),
            model=row["model"], note=row["note"], source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


@lru_cache(maxsize=KEPT)
def evidence_of(kind: str, name: str | None) -> tuple[Evidence, ...]:
    """Return the figures of one type, the first the most telling; empty where none is known."""
    wanted = canonical(kind, name)
    return tuple(one for one in evidence() if one.kind == kind and one.type == wanted)


@lru_cache(maxsize=KEPT)
def canonical(kind: str, name: str | None) -> str:
    """Return the name under which figures of a type are kept (``awq`` is ``int4``)."""
    if name is None:
        return ""
    if is_ggml_mix(name) and kind == WEIGHTS:
        return ggml_mix(name)
    packing = named_packings().get(name.lower()) if kind == WEIGHTS else None
    if packing:
        return packing.packing.name
    try:
        return number_type(name).name
    except HwledgerError:  # a type that only the engine knows
        return name.lower()


def is_plain(kind: str, name: str | None) -> bool:
    """Whether a type is the model's own 16 or 32 bits, or what it is stored as: no loss is added."""
    return name is None or canonical(kind, name) in PLAIN


def quality_words(kind: str, name: str | None) -> str:
    """Return what is known of a type's quality, in words."""
    if is_plain(kind, name):
        return "as stored" if name is None else "16 bits: no loss"
    found = evidence_of(kind, name)
    return found[0].sentence if found else "quality unknown: no published figure"


@lru_cache(maxsize=KEPT)
def not_worse(kind: str, first: str | None, second: str | None) -> bool | None:
    """Return whether the first type is known to lose no more than the second; ``None``: not comparable."""
    if canonical(kind, first) == canonical(kind, second) or is_plain(kind, first):
        return True
    if is_plain(kind, second):
        return False
    others = {(one.metric, one.model, one.source): one.loss for one in evidence_of(kind, second)}
    for one in evidence_of(kind, first):
        key = (one.metric, one.model, one.source)
        if key in others:
            return one.loss <= others[key]
    return None
