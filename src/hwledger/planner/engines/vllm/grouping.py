"""Groups: layers that share a block table (vLLM 0.33.0 ``v1/core/kv_cache_planning.py``)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hwledger.planner.engines.vllm.specs import Cache, CacheSpec, Kind
from hwledger.units import cdiv

_WHOLE: Final = frozenset({Kind.FULL, Kind.LATENT})


@dataclass(frozen=True, slots=True)
class Group:
    """Caches that share a block table; ``spec`` is the first one's."""

    caches: tuple[Cache, ...]

    @property
    def spec(self) -> CacheSpec:
        """The spec that says how many blocks a request takes."""
        return self.caches[0].spec

    @property
    def block_bytes(self) -> int:
        """Bytes of one block over the layers of the group."""
        return sum(cache.spec.page for cache in self.caches)


def group(caches: Sequence[Cache], wide: float) -> tuple[Group, ...]:
    """Return the groups of a model's caches.

    One group where all layers need the same number of blocks; a packed layout where a model mixes
    latent windows with latents (DeepSeek-V4); otherwise groups of equal page and equal layer count.
    """
    if not caches:
        return ()
    if _uniform([cache.spec for cache in caches]):
        return (Group(tuple(caches)),)
    if any(cache.spec.kind is Kind.SLIDING_LATENT for cache in caches):
        return _packed(caches)
    if any(c.spec.kind is Kind.LATENT for c in caches) and not _pages_unify(caches):
        return _by_kind(caches)
    return _equal_pages(_unified(caches), wide)


def _uniform(specs: Sequence[CacheSpec]) -> bool:
    first = specs[0]
    if any(spec.block != first.block for spec in specs):
        return False
    if first.kind in _WHOLE:
        return all(spec.kind in _WHOLE for spec in specs)
    if first.kind is Kind.STATE:
        return all((s.kind, s.pages, s.page) == (first.kind, first.pages, first.page) for s in specs)
    return all((spec.kind, spec.span) == (first.kind, first.span) for spec in specs)


def _pages_unify(caches: Sequence[Cache]) -> bool:
    largest = max(cache.spec.page for cache in caches)
    return all(largest % c.spec.page == 0 for c in caches if c.spec.kind is Kind.LATENT)


def _by_kind(caches: Sequence[Cache]) -> tuple[Group, ...]:
    """Latents beside other kinds whose pages do not divide: one group per kind, packed side by side."""
    return tuple(Group(tuple(bucket)) for bucket in _buckets(caches))


def _unified(caches: Sequence[Cache]) -> list[Cache]:
    """Grow the blocks of narrower layers to the largest page; pad where they do not divide it."""
    largest = max(cache.spec.page for cache in caches)
    return [replace(cache, spec=_grown(cache.spec, largest)) for cache in caches]


def _grown(spec: CacheSpec, page: int) -> CacheSpec:
    if spec.kind is not Kind.STATE and page % spec.page == 0:
        return replace(spec, block=spec.block * (page // spec.page), page=page)
    return replace(spec, page=page)


def _equal_pages(caches: Sequence[Cache], wide: float) -> tuple[Group, ...]:
    kinds: dict[CacheSpec, list[Cache]] = {}
    for cache in caches:
        kinds.setdefault(cache.spec, []).append(cache)
    counts = [len(bucket) for bucket in kinds.values()]
    size = max(counts) if max(counts) < min(counts) * wide else min(counts)
    groups: list[Group] = []
    for bucket in kinds.values():
        number = cdiv(len(bucket), size)
        groups.extend(Group(tuple(bucket[start::number])) for start in range(number))
    return tuple(groups)


def _buckets(caches: Sequence[Cache]) -> list[list[Cache]]:
    buckets: list[list[Cache]] = []
    for cache in caches:
        for bucket in buckets:
            if _uniform([bucket[0].spec, cache.spec]):
                bucket.append(cache)
                break
        else:
            buckets.append([cache])
    return buckets


def _packed(caches: Sequence[Cache]) -> tuple[Group, ...]:
    """Groups of a block-outermost layout: repeats of each bucket's pattern of pages."""
    buckets = _buckets(caches)
    counts = [Counter(cache.spec.page for cache in bucket) for bucket in buckets]
    balanced = [len(set(count.values())) == 1 for count in counts]
    repeats = [max(count.values()) for count in counts]
    floor = max(
        (n for n, c, even in zip(repeats, counts, balanced, strict=True) if even and len(c) > 1), default=0
    )
    size = _repeat([n for n, even in zip(repeats, balanced, strict=True) if even], floor) if floor else 0
    groups: list[Group] = []
    for bucket, even, number in zip(buckets, balanced, repeats, strict=True):
        parts = cdiv(number, size) if even and size else 1
        groups.extend(_part(bucket, start, parts) for start in range(parts))
    return tuple(groups)


def _part(bucket: Sequence[Cache], start: int, parts: int) -> Group:
    pages: dict[int, list[Cache]] = {}
    for cache in bucket:
        pages.setdefault(cache.spec.page, []).append(cache)
    return Group(tuple(cache for same in pages.values() for cache in same[start::parts]))


def _repeat(counts: Sequence[int], least: int) -> int:
    """The group size that pads least; larger ones win ties."""
    return min(range(least, max(*counts, least) + 1), key=lambda d: (sum(-n % d for n in counts), -d))
