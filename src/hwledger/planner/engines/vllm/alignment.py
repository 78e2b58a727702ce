"""Hybrid models: attention blocks grow until a block holds a state, and states are padded to a block."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hwledger.planner.engines.vllm.specs import Cache, Kind
from hwledger.units import cdiv

LATENT_STEP: Final = 128


def align(caches: Sequence[Cache]) -> list[Cache]:
    """Return the caches with the block size that attention and states share.

    vLLM 0.33.0 ``platforms/interface.py`` ``_align_hybrid_block_size``: the block is the smallest
    multiple of the kernel's block whose page is not smaller than the largest state.
    """
    states = [cache.spec.page for cache in caches if cache.spec.kind is Kind.STATE]
    attention = [c.spec for c in caches if c.spec.kind not in {Kind.STATE, Kind.CROSS}]
    if not max(states, default=0) or not attention:
        return list(caches)
    first = max(attention, key=lambda spec: (spec.kind in {Kind.FULL, Kind.LATENT}, spec.page))
    token = first.page // first.block
    step = max(first.block, LATENT_STEP if first.kind is Kind.LATENT else 0)
    block = max(first.block, step * cdiv(max(states), step * token))
    return [_resized(cache, block, block * token) for cache in caches]


def _resized(cache: Cache, block: int, page: int) -> Cache:
    spec = cache.spec
    if spec.kind is Kind.STATE:
        return replace(cache, spec=replace(spec, page=page, block=block))
    return replace(cache, spec=replace(spec, block=block, page=spec.page // spec.block * block))
