"""What changed between versions of vLLM; the facts are rows of ``data/rules.csv``."""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Final

from hwledger.planner.engines.versions import dotted
from hwledger.shipped import shipped_text

NEWEST: Final = "0.33.0"
OLDEST: Final = "0.6.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one version.

    Attributes:
        utilisation: default ``gpu_memory_utilization``.
        graphs_in_budget: CUDA graphs are taken out of the budget before the pool is sized.
        printed_by_concurrency: "GPU KV cache size" is concurrency times ``max_model_len``.
        hybrid_manager: layers of several kinds get groups of their own.
        in_flight_batches: windows reserve for every batch in flight, not for one.
        mamba_align: prefix caching is on for hybrids by default.
        mamba_checkpoint: a prefill checkpoint adds one state per request.
        mamba_all_per_block: mode ``all`` keeps one state per block of tokens.
        wide_group: below this ratio of layer counts the larger one is the group size.
        mxfp4_width: multiple that a rank's expert width is padded to.
    """

    utilisation: float
    graphs_in_budget: bool
    printed_by_concurrency: bool
    hybrid_manager: bool
    in_flight_batches: bool
    mamba_align: bool
    mamba_checkpoint: bool
    mamba_all_per_block: bool
    wide_group: float
    mxfp4_width: int


@cache
def rules_of(version: str) -> Rules:
    """Return the rules of a version: of each rule the last row that is not newer."""
    numbers = dotted(version) or dotted(NEWEST) or ()
    numbers = (*numbers, 0, 0)[:3]
    values: dict[str, float] = {}
    for row in data_rows("rules.csv"):
        if (dotted(row["since"]) or ()) <= numbers:
            values[row["rule"]] = float(row["value"])
    return Rules(
        utilisation=values["utilisation"],
        graphs_in_budget=bool(values["graphs_in_budget"]),
        printed_by_concurrency=bool(values["printed_by_concurrency"]),
        hybrid_manager=bool(values["hybrid_manager"]),
        in_flight_batches=bool(values["in_flight_batches"]),
        mamba_align=bool(values["mamba_align"]),
        mamba_checkpoint=bool(values["mamba_checkpoint"]),
        mamba_all_per_block=bool(values["mamba_all_per_block"]),
        wide_group=values["wide_group"],
        mxfp4_width=int(values["mxfp4_width"]),
    )


@cache
def data_rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of one of this engine's data files."""
    text = shipped_text("hwledger.planner.engines.vllm", f"data/{name}")
    return tuple(csv.DictReader(text.splitlines()))
