"""What one token costs: bytes that are read and operations that are done, from the model alone.

Bytes are those that are stored (``planner/weights.py``); nothing here knows of a device. Attention as in
the papers of each mixer; the expected share of experts that a batch touches is that of independent
routing, 1 - (1 - k/E)^B.
"""

from collections import Counter
from dataclasses import dataclass, replace
from math import log2
from typing import Final
from weakref import finalize

from hwledger.errors import UnknownOptionError
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import GatedDeltaNet, KimiDeltaAttention, Mixer, RecurrentMixer
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.attention import AttentionWork, attention_work
from hwledger.planner.weights import weigh

LOOKED_UP: Final = frozenset({Part.EMBEDDING, Part.PER_LAYER_EMBEDDING, Part.TOWER})
"""Parts of which decoding reads single rows or nothing."""
DELTA_RULES: Final = (GatedDeltaNet, KimiDeltaAttention)
STATE_BYTES: Final = 4
CONVOLUTION_BYTES: Final = 2
STATE_FLOPS: Final = 6
"""Operations on one element of a recurrent state for one token: decay, update, read, two each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The routed experts of the layers that have equally many.

    Attributes:
        layers: how many such layers there are.
        experts, active: experts of one layer, and how many of them a token uses.
        size_bytes: bytes of all experts of all these layers.
        parameters: of all experts of all these layers.
    """

    layers: int
    experts: int
    active: int
    size_bytes: int
    parameters: int

    def covered(self, batch: float) -> float:
        """Share of the experts that ``batch`` tokens touch together, with independent routing."""
        if self.active >= self.experts:
            return 1.0
        missed: float = (1.0 - self.active / self.experts) ** batch
        return 1.0 - missed


@dataclass(frozen=True, kw_only=True)
class Work:
    """What tokens of one model cost, the weights in one packing.

    Attributes:
        layers: decoder layers.
        moe_layers, state_layers: those with routed experts, and those with a recurrent state.
        hidden_size: width of the residual stream; an all-reduce carries it twice per layer.
        matrices: matrices that one token passes through, each a kernel launch.
        layer_bytes: bytes of the layers' weights that every step reads, routed experts left out.
        head_bytes: bytes of the output matrix, which is the embedding where that is tied.
        experts: the routed experts.
        layer_parameters: parameters of the layers that a token passes through, routed experts left out.
        head_parameters: parameters of the output matrix.
        attention: the layers' attention, alike layers together.
        state_bytes: bytes of recurrent state of one request.
        state_elements: elements of it.
        delta_share: share of these that a delta rule updates.
    """

    layers: int
    moe_layers: int
    state_layers: int
    hidden_size: int
    matrices: int
    layer_bytes: int
    head_bytes: int
    experts: tuple[Experts, ...]
    layer_parameters: int
    head_parameters: int
    attention: tuple[tuple[AttentionWork, int], ...]
    state_bytes: int
    state_elements: int
    delta_share: float = 0.0

    def weight_bytes(self, batch: float = 1.0) -> float:
        """Bytes of weights that one decoding step of ``batch`` tokens reads."""
        return self.layer_bytes + self.head_bytes + self.expert_bytes(batch)

    def expert_bytes(self, batch: float = 1.0) -> float:
        """Bytes of the routed experts that ``batch`` tokens touch."""
        return sum(group.size_bytes * group.covered(batch) for group in self.experts)

    @property
    def all_expert_bytes(self) -> int:
        """Bytes of all routed experts."""
        return sum(group.size_bytes for group in self.experts)

    @property
    def active_parameters(self) -> float:
        """Parameters that are multiplied with for one token, the output matrix left out."""
        return self.layer_parameters + sum(g.parameters * g.active / g.experts for g in self.experts)

    def cache_bytes(self, depth: float, key_bytes: float = 2.0, value_bytes: float = 2.0) -> float:
        """Bytes of KV cache that one token reads with ``depth`` tokens before it.

        Args:
            depth: tokens in the cache.
            key_bytes: bytes of one cached element of a key.
            value_bytes: bytes of one cached element of a value.
        """
        return sum(n * one.cache_bytes(depth, key_bytes, value_bytes) for one, n in self.attention)

    @property
    def sharing(self) -> float:
        """log2 of the query heads that share one cached head, over all attention layers."""
        flops = sum(n * one.decode_flops_per_token for one, n in self.attention)
        elements = sum(n * (one.key_elements + one.value_elements) for one, n in self.attention)
        return log2(max(1.0, flops / (2.0 * elements))) if elements else 0.0

    @property
    def head_width(self) -> float:
        """Mean width of a key and a value of one query head, over all attention layers; 0: there are none."""
        heads = sum(n * one.heads for one, n in self.attention)
        flops = sum(n * one.prefill_flops_per_token for one, n in self.attention)
        return flops / (4.0 * heads) if heads else 0.0

    def state_traffic_bytes(self) -> float:
        """Bytes of recurrent state that one token of one request reads and writes."""
        return 2.0 * self.state_bytes

    def attention_flops(self, depth: float) -> float:
        """Operations of attention for one decoded token with ``depth`` tokens before it."""
        return sum(n * one.decode_flops(depth) for one, n in self.attention)

    def decode_flops(self, depth: float) -> float:
        """Operations for one decoded token, head and attention included."""
        dense = 2.0 * (self.active_parameters + self.head_parameters)
        return dense + self.attention_flops(depth) + STATE_FLOPS * self.state_elements

    def prefill_matrix_flops(self, tokens: float) -> float:
        """Operations of the matrices of ``tokens`` prompt tokens; the head works on the last one alone."""
        return tokens * (2.0 * self.active_parameters + STATE_FLOPS * self.state_elements)

    def prefill_attention_flops(self, tokens: float, depth: float = 0.0) -> float:
        """Operations of causal attention over ``tokens`` prompt tokens that follow ``depth`` cached ones."""
        return sum(n * one.prefill_flops(tokens, depth) for one, n in self.attention)

    def prefill_scores(self, tokens: float, depth: float = 0.0) -> float:
        """Attention scores of a prompt, over all heads and layers; written out without flash attention."""
        return sum(n * one.prefill_scores(tokens, depth) for one, n in self.attention)

    def prefill_flops(self, tokens: float, depth: float = 0.0) -> float:
        """Operations for a prompt of ``tokens`` tokens after ``depth`` cached ones."""
        matrices = self.prefill_matrix_flops(tokens) + 2.0 * self.head_parameters
        return matrices + self.prefill_attention_flops(tokens, depth)

    def reduced_bytes(self, tokens: float = 1.0, element_bytes: float = 2.0) -> float:
        """Bytes that one all-reduce carries for ``tokens`` tokens; there are two per layer."""
        return self.hidden_size * element_bytes * tokens

    def resized(self, file_bytes: float, counted_bytes: float) -> "Work":
        """Return the same work with weights of another size: every part by the same factor."""
        factor = file_bytes / counted_bytes
        groups = tuple(replace(g, size_bytes=round(g.size_bytes * factor)) for g in self.experts)
        return replace(
            self, layer_bytes=round(self.layer_bytes * factor), head_bytes=round(self.head_bytes * factor),
            experts=groups,
        )  # fmt: skip


_works: dict[int, dict[str | None, Work]] = {}


def work_of(spec: ModelSpec, weights: str | None = None) -> Work:
    """Return the work of a model with its weights as stored or re-packed; computed once per both.

    Raises:
        UnknownOptionError: there is no such type of weights.
    """
    if id(spec) not in _works:  # a spec is not hashable: its metadata is a plain mapping
        _works[id(spec)] = {}
        finalize(spec, _works.pop, id(spec), None)
    known = _works[id(spec)]
    if weights not in known:
        known[weights] = _work(spec, weights)
    return known[weights]


def plan_work(plan: Plan) -> Work:
    """Return the work of a plan's model in the plan's packing."""
    return work_of(plan.spec, plan.request.weights)


def cached_element_bytes(plan: Plan) -> tuple[float, float]:
    """Return the bytes of one cached element of a key and of a value, by the plan's cache type.

    A type that is no number type (an engine's own packing, with its scales) counts as the plan counts it:
    the bytes by which one more token grows the cache, over the elements by which it does.
    """
    kept = plan.memory.kv_type
    kept = kept.removeprefix("auto (").removesuffix(")") if kept.startswith("auto (") else kept
    key, _, value = kept.partition(" (K), ")
    first = _element_bytes(key, plan)
    return first, _element_bytes(value.removesuffix(" (V)"), plan) if value else first


def _element_bytes(name: str, plan: Plan) -> float:
    try:
        return number_type(name).bits / 8
    except UnknownOptionError:
        return 1.0 if name.startswith("fp8") else _planned_element_bytes(plan)


def _planned_element_bytes(plan: Plan) -> float:
    work, depth = plan_work(plan), float(plan.memory.context_tokens)
    grown = work.cache_bytes(depth + 1, 1.0, 1.0) - work.cache_bytes(depth, 1.0, 1.0)
    plain = number_type(plan.spec.number_type).bits / 8
    return plan.memory.kv_cache_bytes_per_token / grown if grown > 0 else plain


def _work(spec: ModelSpec, weights: str | None) -> Work:
    table = weigh(spec, weights)
    by_part = table.by_part
    looked_up = sum(by_part.get(part, 0) for part in LOOKED_UP)
    head = by_part.get(Part.LM_HEAD, 0) or (by_part.get(Part.EMBEDDING, 0) if spec.tied_embeddings else 0)
    experts = by_part.get(Part.EXPERTS, 0)
    every = table.total - looked_up - by_part.get(Part.LM_HEAD, 0) - experts
    parameters = spec.census.by_part
    head_parameters = parameters.get(Part.LM_HEAD, 0) or (
        parameters.get(Part.EMBEDDING, 0) if spec.tied_embeddings else 0
    )
    others = (part for part in parameters if part not in LOOKED_UP | {Part.LM_HEAD, Part.EXPERTS})
    states = [mixer for layer in spec.layers for mixer in layer.mixers if isinstance(mixer, RecurrentMixer)]
    return Work(
        layers=len(spec.layers),
        moe_layers=sum(isinstance(layer.channel, MixtureOfExperts) for layer in spec.layers),
        state_layers=sum(any(isinstance(m, RecurrentMixer) for m in layer.mixers) for layer in spec.layers),
        hidden_size=spec.hidden_size,
        matrices=sum(map(_is_matrix, spec.tensors)),
        layer_bytes=every, head_bytes=head, experts=_experts(spec, experts),
        layer_parameters=sum(parameters[part] for part in others), head_parameters=head_parameters,
        attention=_attention(spec.layers),
        state_bytes=sum(map(_state_bytes, states)),
        state_elements=sum(mixer.state_elements() for mixer in states),
        delta_share=_delta_share(states),
    )  # fmt: skip


def _delta_share(states: list[RecurrentMixer]) -> float:
    ruled = sum(mixer.state_elements() for mixer in states if isinstance(mixer, DELTA_RULES))
    return ruled / max(1, sum(mixer.state_elements() for mixer in states))


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) > 1 and tensor.part not in LOOKED_UP


def _experts(spec: ModelSpec, size_bytes: int) -> tuple[Experts, ...]:
    """Routed experts by their number; bytes are shared out by parameters."""
    parameters: Counter[int] = Counter()
    for tensor in spec.tensors:
        if tensor.part is Part.EXPERTS and tensor.layer is not None:
            parameters[tensor.layer] += tensor.parameters
    total = sum(parameters.values())
    kinds: dict[tuple[int, int], list[int]] = {}
    for layer in spec.layers:
        if isinstance(layer.channel, MixtureOfExperts) and layer.channel.experts:
            key = (layer.channel.experts, layer.channel.active_experts)
            kinds.setdefault(key, []).append(parameters[layer.index])
    return tuple(
        Experts(layers=len(own), experts=experts, active=active, parameters=sum(own),
                size_bytes=round(size_bytes * sum(own) / total) if total else 0)
        for (experts, active), own in kinds.items()
    )  # fmt: skip


def _attention(layers: tuple[LayerSpec, ...]) -> tuple[tuple[AttentionWork, int], ...]:
    mixers: Counter[Mixer] = Counter(mixer for layer in layers for mixer in layer.mixers)
    found: Counter[AttentionWork] = Counter()
    for mixer, count in mixers.items():
        one = attention_work(mixer)
        if one is not None:
            found[one] += count
    return tuple(found.items())


def _state_bytes(mixer: RecurrentMixer) -> int:
    wide = number_type(mixer.state_type).block_bytes if mixer.state_type else STATE_BYTES
    return mixer.state_elements() * wide + mixer.conv_elements() * CONVOLUTION_BYTES
