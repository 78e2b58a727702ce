"""Small hand-made models of each kind, with the geometry of well-known ones, and what profiles answer."""

from dataclasses import replace
from typing import Any

from hwledger.device.catalogue import parse_devices
from hwledger.model.channel import DenseMLP
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    CrossAttention,
    FullAttention,
    GatedDeltaNet,
    Indexer,
    LatentAttention,
    Mamba1,
    Mamba2,
    Mixer,
    SlidingAttention,
)
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Split, Tensor
from hwledger.planner.engine import EngineProfile
from hwledger.planner.memory import EngineMemory
from hwledger.planner.plan import make_request


def answer(
    profile: EngineProfile,
    spec: ModelSpec,
    context: int | None = None,
    concurrency: int = 1,
    **options: Any,
) -> EngineMemory:
    """Return a profile's answer for a model and a workload; devices, version and cache are options here."""
    known = {name: options.pop(name) for name in ("engine_version", "kv_cache") if name in options}
    known["devices"] = parse_devices(options.pop("devices")) if "devices" in options else ()
    request = make_request(spec, profile, context=context, concurrency=concurrency, options=options, **known)
    return profile.memory(request)


def stack(*mixers: Mixer, width: int, **stated: Any) -> ModelSpec:
    """Return a Llama with one layer per mixer and dense blocks of a width; its other fields as stated."""
    layers = tuple(
        LayerSpec(index=i, kind=each.name.replace(" ", "_"), mixers=(each,), channel=DenseMLP(width=width))
        for i, each in enumerate(mixers)
    )
    return replace(model([]), **{"architecture": "llama", "layers": layers, **stated})


def model(mixers: list[tuple[Mixer, ...]], *, mtp: int = 0, tensors: tuple[Tensor, ...] = ()) -> ModelSpec:
    """A model of the given layers; the last one is also the kind of its ``mtp`` heads."""
    layers = tuple(
        LayerSpec(index=i, kind="+".join(m.name for m in each), mixers=each) for i, each in enumerate(mixers)
    )
    return ModelSpec(
        id="made", architecture="made", source="test", format="config", hidden_size=4096, vocab_size=128_256,
        context_length=131_072, number_type="bf16", layers=layers, mtp_layers=layers[-1:] * mtp,
        tensors=tensors,
    )  # fmt: skip


def full(heads: int, width: int, query_heads: int = 32, value_width: int | None = None) -> FullAttention:
    """Full attention."""
    return FullAttention(
        query_heads=query_heads, kv_heads=heads, key_width=width, value_width=value_width or width
    )


def sliding(heads: int, width: int, window: int) -> SlidingAttention:
    """Windowed attention."""
    return SlidingAttention(query_heads=32, kv_heads=heads, key_width=width, value_width=width, window=window)


def llama_8b() -> ModelSpec:
    """Llama-3.1-8B's layers, with a key projection and an embedding to be sharded."""
    tensors = (
        Tensor("model.embed_tokens.weight", (128_250, 4096), Part.EMBEDDING, split=Split.VOCAB),
        Tensor("model.layers.0.k", (1024, 4096), Part.ATTENTION, 0, split=Split.KV_HEADS, linear=True),
        Tensor("model.layers.0.q", (4096, 4096), Part.ATTENTION, 0, split=Split.SHARDED, linear=True),
        Tensor("model.layers.0.norm", (4096,), Part.NORM, 0),
    )
    return model([(full(8, 128),)] * 32, tensors=tensors)


def gemma3_27b() -> ModelSpec:
    """Gemma-3-27B: 10 full layers, 52 with a window of 1024."""
    return model([(full(16, 128) if i % 6 == 5 else sliding(16, 128, 1024),) for i in range(62)])


def gemma4_like() -> ModelSpec:
    """Windows of 16 heads x 256 beside full layers of 4 heads x 512."""
    return model([(full(4, 512) if i % 6 == 5 else sliding(16, 256, 1024),) for i in range(12)])


def qwen3_next() -> ModelSpec:
    """Qwen3-Next-80B: every fourth layer is full attention."""
    delta = GatedDeltaNet(key_heads=16, value_heads=32, key_width=128, value_width=128, conv_kernel=4)
    return model([(full(2, 256, 16) if i % 4 == 3 else delta,) for i in range(48)])


def qwen36_27b() -> ModelSpec:
    """Qwen3.6-27B: 16 full layers, 48 delta nets in 32 bits, one MTP head."""
    delta = GatedDeltaNet(
        key_heads=16, value_heads=48, key_width=128, value_width=128, conv_kernel=4, state_type="f32"
    )
    return model([(full(4, 256, 24) if i % 4 == 3 else delta,) for i in range(64)], mtp=1)


def latent(indexer: Indexer | None = None) -> LatentAttention:
    """DeepSeek-V3's latent attention."""
    return LatentAttention(
        query_heads=128, latent_rank=512, rope_width=64, nope_width=128, value_width=128, indexer=indexer
    )


INDEXER = Indexer(heads=64, key_width=128, top_k=2048)


def deepseek_v3() -> ModelSpec:
    """DeepSeek-V3's 61 layers."""
    return model([(latent(),)] * 61)


def glm5(layers: int = 78, indexers: int = 78) -> ModelSpec:
    """GLM-5's layers; the last ``indexers`` have one, and so has the MTP head."""
    made = [(latent(INDEXER if i >= layers - indexers else None),) for i in range(layers)]
    return model(made, mtp=1)


def minicpm3() -> ModelSpec:
    """MiniCPM3, whose heads vLLM expands."""
    mixer = LatentAttention(
        query_heads=40, latent_rank=256, rope_width=32, nope_width=64, value_width=64, expanded=True
    )
    return model([(mixer,)] * 62)


def deepseek_v4_flash() -> ModelSpec:
    """DeepSeek-V4-Flash: 2 layers of windows, then ratios 4 and 128 in turn."""
    ratios = [0, 0, *([4, 128] * 21)][:43]
    return model(
        [
            (
                CompressedAttention(
                    query_heads=64, head_width=512, rope_width=64, window=128, ratio=ratio,
                    indexer=INDEXER if ratio == 4 else None,
                ),
            )
            for ratio in ratios
        ]
    )  # fmt: skip


def llama4_scout() -> ModelSpec:
    """Llama-4-Scout: three chunked layers to one full."""
    chunked = ChunkedAttention(query_heads=40, kv_heads=8, key_width=128, value_width=128, chunk=8192)
    return model([(full(8, 128, 40) if i % 4 == 3 else chunked,) for i in range(48)])


def codestral_mamba() -> ModelSpec:
    """Codestral-Mamba-7B."""
    return model([(Mamba2(heads=128, head_width=64, state_size=128, groups=8, conv_kernel=4),)] * 64)


def jamba() -> ModelSpec:
    """Jamba-v0.1: 28 Mamba-1 layers and 4 of attention."""
    mamba = Mamba1(inner_width=8192, state_size=16, conv_kernel=4)
    return model([(full(8, 128) if i % 8 == 4 else mamba,) for i in range(32)])


def whisper_large() -> ModelSpec:
    """The decoder of Whisper-large-v3."""
    cross = CrossAttention(query_heads=20, kv_heads=20, key_width=64, value_width=64, source_tokens=1500)
    return model([(full(20, 64, 20), cross)] * 32)
