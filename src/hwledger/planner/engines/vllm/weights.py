"""Weights as one rank loads them: sharded, replicated, padded, with rotary tables and absorbed copies."""

from dataclasses import dataclass
from typing import Final

from hwledger.model.channel import MixtureOfExperts
from hwledger.model.kept import kept
from hwledger.model.mixers import LatentAttention
from hwledger.model.mixers.key_value import KeyValueGeometry
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Split, Tensor
from hwledger.planner.engines.vllm.capacity import rank_of_layers
from hwledger.planner.engines.vllm.options import Settings
from hwledger.planner.weights import stored_sizes, weigh
from hwledger.units import cdiv, round_up

VOCAB_STEP: Final = 64
MXFP4_HIDDEN: Final = 256
_FIRST: Final = frozenset({Part.EMBEDDING, Part.PER_LAYER_EMBEDDING, Part.TOWER})


@dataclass(frozen=True, slots=True)
class Loaded:
    """Loaded bytes of each pipeline rank; ``exact`` where no packing was assumed."""

    by_rank: tuple[int, ...]
    exact: bool


def load(model: ModelSpec, settings: Settings, packed: str | None) -> Loaded:
    """Return the weights on each pipeline rank of one tensor-parallel rank.

    vLLM 0.33.0: ``vocab_parallel_embedding.py`` (rows padded to 64), ``linear.py`` (replicated key and
    value heads), ``rotary_embedding/base.py`` (tables), ``mla_attention.py`` (absorbed copies),
    ``fused_moe/oracle/mxfp4.py`` (padding).
    """
    factor = weigh(model, packed).total / max(1, sum(stored_sizes(model)[: len(model.tensors)]))
    if number_type(model.number_type).name == "f32" and packed is None and model.quantisation is None:
        factor *= settings.item_bytes / 4  # 32-bit checkpoints are loaded in 16 bits
    tensors, heads = _shares(model, settings)
    sizes = [size * factor for size in tensors]
    sizes[-1] += heads if settings.speculative else 0.0
    tables = sum(positions * width for positions, width in model.rope_tables) * settings.item_bytes
    copies = _copies(model, settings)
    loaded = (round(size + copied) + tables for size, copied in zip(sizes, copies, strict=True))
    return Loaded(tuple(loaded), packed is None)


def _shares(model: ModelSpec, settings: Settings) -> tuple[tuple[float, ...], float]:
    """Stored bytes on each pipeline rank, and those of the MTP heads; the same for every packing."""
    parallel = (settings.tp, settings.pp, settings.dp, settings.expert_parallel, settings.rules.mxfp4_width)

    def shares() -> tuple[tuple[float, ...], float]:
        ranks = rank_of_layers(len(model.layers), settings.pp)
        sizes, stored = [0.0] * settings.pp, stored_sizes(model)
        for tensor, size in zip(model.tensors, stored, strict=False):
            on_rank = _on_rank(model, tensor, settings, size)
            for rank in _ranks(model, tensor, ranks, settings):
                sizes[rank] += on_rank
        more = zip(model.mtp_tensors, stored[len(model.tensors) :], strict=True)
        return tuple(sizes), sum(_on_rank(model, tensor, settings, size) for tensor, size in more)

    return kept(model, ("vllm shares", parallel), shares)


def _ranks(model: ModelSpec, tensor: Tensor, ranks: tuple[int, ...], settings: Settings) -> tuple[int, ...]:
    last = settings.pp - 1
    if tensor.layer is not None:
        return (ranks[min(tensor.layer, len(ranks) - 1)],)
    if tensor.part is Part.EMBEDDING and model.tied_embeddings and last:
        return 0, last
    return (0,) if tensor.part in _FIRST else (last,)


def _on_rank(model: ModelSpec, tensor: Tensor, settings: Settings, size: int) -> float:
    tp = settings.tp
    if tensor.part is Part.EXPERTS:
        return _experts(model, tensor, settings, size)
    if tensor.split is Split.VOCAB:
        rows = tensor.shape[0]
        return size * round_up(rows, VOCAB_STEP) / rows / tp
    if tensor.split is Split.KV_HEADS:
        heads = _kv_heads(model, tensor)
        return size * max(1, heads // tp) / heads
    return size / tp if tensor.split is Split.SHARDED else size


def _experts(model: ModelSpec, tensor: Tensor, settings: Settings, size: int) -> float:
    """Experts over all ranks of the layer: whole ones, or a slice of each."""
    ranks = settings.tp * settings.dp
    if model.quantisation and model.quantisation.method == "mxfp4":
        size = round(size * _mxfp4(model, tensor, settings, ranks))
    if settings.expert_parallel and tensor.copies > 1:
        return size * cdiv(tensor.copies, ranks) / tensor.copies
    return size / ranks if tensor.split is Split.SHARDED else size


def _mxfp4(model: ModelSpec, tensor: Tensor, settings: Settings, ranks: int) -> float:
    """How much the padding of hidden and expert width makes a matrix grow."""
    channel = model.layers[min(tensor.layer or 0, len(model.layers) - 1)].channel
    if not isinstance(channel, MixtureOfExperts):
        return 1.0
    slices = 1 if settings.expert_parallel else ranks
    width = round_up(cdiv(channel.expert_width, slices), settings.rules.mxfp4_width) * slices
    grown = width / channel.expert_width
    if len(tensor.shape) < 2 and "down" not in tensor.name:  # noqa: PLR2004 - a bias of the expert width
        return grown
    hidden = round_up(model.hidden_size, MXFP4_HIDDEN) / model.hidden_size
    return hidden if len(tensor.shape) < 2 else hidden * grown  # noqa: PLR2004


def _kv_heads(model: ModelSpec, tensor: Tensor) -> int:
    if tensor.layer is not None and tensor.layer < len(model.layers):
        for mixer in model.layers[tensor.layer].mixers:
            if isinstance(mixer, KeyValueGeometry):
                return mixer.kv_heads
    return 1


def _copies(model: ModelSpec, settings: Settings) -> tuple[int, ...]:
    """Bytes of absorbed copies on each pipeline rank; the same for every packing."""

    def copies() -> tuple[int, ...]:
        ranks, sizes = rank_of_layers(len(model.layers), settings.pp), [0] * settings.pp
        for layer in model.layers:
            sizes[ranks[layer.index]] += sum(_absorbed(mixer, settings) for mixer in layer.mixers)
        return tuple(sizes)

    return kept(model, ("vllm absorbed", settings.tp, settings.pp, settings.item_bytes), copies)


def _absorbed(mixer: object, settings: Settings) -> int:
    """Copies of W_UK and W_UV in the activations' type, beside the packed projection."""
    if not isinstance(mixer, LatentAttention) or mixer.expanded:
        return 0
    heads = cdiv(mixer.query_heads, settings.tp)
    return heads * mixer.latent_rank * (mixer.nope_width + mixer.value_width) * settings.item_bytes
