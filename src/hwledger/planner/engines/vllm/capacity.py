"""Blocks: what a request takes of the pool, and what a pool holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.vllm.alignment import align
from hwledger.planner.engines.vllm.grouping import Group, group
from hwledger.planner.engines.vllm.options import Settings
from hwledger.planner.engines.vllm.specs import CacheSpec, Kind, caches_of
from hwledger.planner.memory import Capacity
from hwledger.units import cdiv


@dataclass(frozen=True, slots=True)
class Layout:
    """The groups of a model and the bytes of one block on each pipeline rank."""

    groups: tuple[Group, ...]
    block_bytes: tuple[int, ...]

    @property
    def smallest_block(self) -> int:
        """Tokens of the smallest block of any group that keeps something per token."""
        return min((g.spec.block for g in self.groups if g.spec.kind is not Kind.STATE), default=1)


def lay_out(model: ModelSpec, settings: Settings) -> Layout:
    """Return the groups of a model; windows and lengths do not change them."""
    groups = group(align(caches_of(model, settings)), settings.rules.wide_group)
    ranks = rank_of_layers(len(model.layers), settings.pp)
    sizes = []
    for rank in range(settings.pp):
        mine = [
            sum(c.spec.page for c in g.caches if ranks[min(c.layer, len(ranks) - 1)] == rank) for g in groups
        ]
        sizes.append(max(mine, default=0))
    return Layout(groups, tuple(sizes))


def rank_of_layers(layers: int, ranks: int) -> tuple[int, ...]:
    """Return the pipeline rank of each layer; what is left over goes to the ranks before the last.

    vLLM 0.33.0 ``distributed/utils.py`` ``get_pp_indices``.
    """
    sizes = [layers // ranks] * ranks
    for extra in range(layers % ranks):
        sizes[-2 - extra] += 1
    return tuple(rank for rank, size in enumerate(sizes) for _ in range(size))


def request_blocks(spec: CacheSpec, tokens: Any, settings: Settings) -> Any:
    """Return the blocks that one request of ``tokens`` takes of a group; an array gives an array.

    vLLM 0.33.0 ``v1/kv_cache_interface.py`` ``max_memory_usage_bytes`` of each spec.
    """
    if spec.kind is Kind.STATE:
        if settings.mamba_mode == "all" and settings.rules.mamba_all_per_block:
            return cdiv(tokens, spec.block) + settings.speculative
        return spec.pages
    if spec.kind is Kind.CROSS:
        return cdiv(spec.span, spec.block)
    if spec.kind in {Kind.SLIDING, Kind.SLIDING_LATENT}:
        return cdiv(_least(tokens, spec.span - 1 + settings.in_flight), spec.block) + 1
    if spec.kind is Kind.CHUNKED:
        return cdiv(_least(tokens, spec.span + settings.in_flight), spec.block)
    return cdiv(cdiv(tokens, settings.dcp), spec.block)


def blocks_by_group(layout: Layout, tokens: Any, settings: Settings) -> list[Any]:
    """Return the blocks that one request takes, group by group."""
    return [request_blocks(g.spec, tokens, settings) for g in layout.groups]


def capacity_of(layout: Layout, settings: Settings, pools: Sequence[int], override: int = 0) -> Capacity:
    """Return what the engine would print for pools of the given bytes, one per pipeline rank."""
    sizes = [size for size in layout.block_bytes if size]
    if not sizes:
        return Capacity(kv_pool_bytes=min(pools), max_tokens=0, max_concurrency=0.0)
    blocks = override or max(
        0, min(pool // size for pool, size in zip(pools, layout.block_bytes, strict=True) if size)
    )
    concurrency = blocks / max(1, sum(blocks_by_group(layout, settings.tokens, settings)))
    if settings.rules.printed_by_concurrency:
        tokens = int(concurrency * settings.tokens)
    else:
        tokens = blocks // len(layout.groups) * layout.smallest_block * settings.dcp
    return Capacity(kv_pool_bytes=max(0, min(pools)), max_tokens=tokens, max_concurrency=concurrency)


def _least(tokens: Any, limit: int) -> Any:
    return min(tokens, limit) if isinstance(tokens, int) else tokens.clip(max=limit)
