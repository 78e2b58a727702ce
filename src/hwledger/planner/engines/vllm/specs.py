"""Cache specs: what each layer keeps per block of tokens, on one rank.

Sources: vLLM 0.33.0 ``v1/kv_cache_interface.py`` (the specs), ``attention.py``, ``mla_attention.py``,
``mamba/abstract.py`` and ``mamba/mamba_utils.py`` (what each layer asks for).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    GatedDeltaNet,
    KimiDeltaAttention,
    LatentAttention,
    Mamba2,
    Mixer,
    RecurrentMixer,
    Rwkv,
    SlidingAttention,
)
from hwledger.model.mixers.key_value import KeyValueGeometry
from hwledger.model.mixers.latent import Indexer
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.vllm.cache_types import head_bytes, latent_bytes
from hwledger.planner.engines.vllm.options import Settings
from hwledger.planner.engines.vllm.versions import data_rows
from hwledger.units import cdiv, round_up

BLOCK: Final = 16
LATENT_BLOCK: Final = 64
COMPRESSED_BLOCK: Final = 256
_RECORD_PADDING: Final = 8  # scale bytes behind a compressed record
_ALIGNMENT: Final = 576


class Kind(StrEnum):
    """What a spec reserves for."""

    FULL = "full"
    LATENT = "latent"
    SLIDING = "sliding"
    SLIDING_LATENT = "sliding latent"
    CHUNKED = "chunked"
    CROSS = "cross"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec:
    """One cache of one layer.

    Attributes:
        kind: what it reserves for.
        block: tokens of one block.
        page: bytes of one block.
        span: window, chunk or source tokens.
        pages: states per request, for states.
    """

    kind: Kind
    block: int
    page: int
    span: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Cache:
    """A spec and the layer that it belongs to; drafts count on from the last layer."""

    layer: int
    spec: CacheSpec


def caches_of(model: ModelSpec, settings: Settings) -> list[Cache]:
    """Return every cache of the model on one tensor-parallel rank, in layer order."""
    maker = _Maker(model, settings)
    layers = (*model.layers, *_drafts(model, settings))
    return [
        Cache(index, spec)
        for index, layer in enumerate(layers)
        for mixer in layer.mixers
        for spec in maker.specs(mixer)
    ]


def _drafts(model: ModelSpec, settings: Settings) -> tuple[LayerSpec, ...]:
    """Layers of the draft: the model's own MTP heads, or heads that look like its last attention."""
    if settings.draft_layers == 0:
        return model.mtp_layers if settings.speculative else ()
    wanted = FullAttention | SlidingAttention | LatentAttention
    full = [x for x in model.layers if any(isinstance(m, wanted) for m in x.mixers)]
    plain = [x for x in full if any(isinstance(m, FullAttention | LatentAttention) for m in x.mixers)]
    return tuple((plain or full)[-1:] * settings.draft_layers)


class _Maker:
    def __init__(self, model: ModelSpec, settings: Settings) -> None:
        self.settings = settings
        expanded = {row["architecture"] for row in data_rows("expanded_latents.csv")}
        self.expanded = model.architecture in expanded
        latent = [m for x in model.layers for m in x.mixers if isinstance(m, LatentAttention)]
        self.sparse = any(m.indexer for m in latent) and not settings.amd
        latent_kept = latent and not self.expanded and not latent[0].expanded
        self.block = settings.block_size or (LATENT_BLOCK if latent_kept else BLOCK)

    def specs(self, mixer: Mixer) -> Iterator[CacheSpec]:
        if isinstance(mixer, KeyValueGeometry):
            yield from self._attention(mixer)
        elif isinstance(mixer, LatentAttention):
            yield from self._latent(mixer)
        elif isinstance(mixer, CompressedAttention):
            yield from self._compressed(mixer)
        else:
            yield self._state(mixer)

    def _attention(self, mixer: KeyValueGeometry) -> Iterator[CacheSpec]:
        if mixer.shares_cache_of is not None:
            return
        settings = self.settings
        token = mixer.heads_on_rank(settings.tp) * head_bytes(
            settings.kv_type, mixer.key_width, mixer.value_width, settings.item_bytes
        )
        kind, span = _kind(mixer)
        if not settings.hybrid and kind in {Kind.SLIDING, Kind.CHUNKED}:
            kind, span = Kind.FULL, 0
        yield CacheSpec(kind=kind, block=self.block, page=self.block * token, span=span)
        if mixer.index_width:
            page = self.block * mixer.index_width * settings.item_bytes
            yield CacheSpec(kind=Kind.LATENT, block=self.block, page=page)

    def _latent(self, mixer: LatentAttention) -> Iterator[CacheSpec]:
        settings = self.settings
        if self.expanded or mixer.expanded:
            width = mixer.expanded_key_width
            token = head_bytes(settings.kv_type, width, width, settings.item_bytes)
            heads = max(1, mixer.query_heads // settings.tp)
            yield CacheSpec(kind=Kind.FULL, block=self.block, page=self.block * heads * token)
            return
        token = latent_bytes(
            settings.kv_type, mixer.latent_rank, mixer.rope_width, settings.item_bytes, sparse=self.sparse
        )
        yield CacheSpec(kind=Kind.LATENT, block=self.block, page=self.block * token)
        if mixer.indexer:
            page = self.block * index_bytes(mixer.indexer)
            yield CacheSpec(kind=Kind.LATENT, block=self.block, page=page)

    def _compressed(self, mixer: CompressedAttention) -> Iterator[CacheSpec]:
        """DeepSeek-V4 (``deepseek_v4/attention.py``, ``compressor.py``, ``mla/sparse_swa.py``)."""
        record = mixer.head_width + mixer.rope_width + _RECORD_PADDING
        yield CacheSpec(kind=Kind.SLIDING_LATENT, block=64, page=_aligned(64 * record), span=mixer.window)
        if mixer.ratio <= 1:
            return
        folded = 1 if mixer.indexer is None else 2
        kept = COMPRESSED_BLOCK // mixer.ratio
        block = 4 if mixer.indexer else 8
        span = folded * mixer.ratio
        yield CacheSpec(kind=Kind.LATENT, block=COMPRESSED_BLOCK, page=_aligned(kept * record))
        yield self._compressor(mixer.head_width, folded, block, span)
        if mixer.indexer:
            page = _aligned(kept * index_bytes(mixer.indexer))
            yield CacheSpec(kind=Kind.LATENT, block=COMPRESSED_BLOCK, page=page)
            yield self._compressor(mixer.indexer.key_width, folded, block, span)

    @staticmethod
    def _compressor(width: int, folded: int, block: int, span: int) -> CacheSpec:
        page = _aligned(block * 2 * folded * width * 4)
        return CacheSpec(kind=Kind.SLIDING_LATENT, block=block, page=page, span=span)

    def _state(self, mixer: RecurrentMixer) -> CacheSpec:
        settings = self.settings
        conv = mixer.conv_elements(settings.tp, settings.speculative) * settings.conv_bytes
        page = conv + mixer.state_elements(settings.tp) * self._state_bytes(mixer)
        return CacheSpec(kind=Kind.STATE, block=1, page=page, pages=self._pages(mixer))

    def _state_bytes(self, mixer: RecurrentMixer) -> int:
        if self.settings.state_bytes:
            return self.settings.state_bytes
        if mixer.state_type:
            return number_type(mixer.state_type).block_bytes
        if isinstance(mixer, KimiDeltaAttention | Rwkv):
            return 4
        return self.settings.conv_bytes

    def _pages(self, mixer: RecurrentMixer) -> int:
        """States of one request (vLLM 0.33.0 ``MambaSpec.max_memory_usage_bytes``)."""
        settings = self.settings
        if settings.mamba_mode != "align":
            return 1 + settings.speculative
        kept = settings.rules.mamba_checkpoint and isinstance(
            mixer, Mamba2 | GatedDeltaNet | KimiDeltaAttention
        )
        return 2 + settings.speculative + kept


def index_bytes(indexer: Indexer) -> int:
    """Return the bytes of one token in an index cache: 8-bit keys and a 32-bit scale per 128."""
    return indexer.key_width + 4 * cdiv(indexer.key_width, 128)


def _kind(mixer: KeyValueGeometry) -> tuple[Kind, int]:
    if isinstance(mixer, SlidingAttention):
        return Kind.SLIDING, mixer.window
    if isinstance(mixer, ChunkedAttention):
        return Kind.CHUNKED, mixer.chunk
    if isinstance(mixer, CrossAttention):
        return Kind.CROSS, mixer.source_tokens
    return Kind.FULL, 0


def _aligned(page: int) -> int:
    return round_up(page, _ALIGNMENT)
