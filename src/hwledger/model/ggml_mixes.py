"""The mixes of llama-quantize (``Q4_K_M`` …): which number type each tensor of a file gets.

Rules: llama.cpp b11434 ``src/llama-quant.cpp`` ``llama_tensor_get_type_impl``, ``tensor_type_fallback``,
``tensor_allows_quantization`` and ``llama_ftype_get_default_type``. Files made with other builds, or
with types chosen by hand per tensor, differ by a few per cent.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Final

from hwledger.errors import UnknownOptionError
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.mixers import ChunkedAttention, FullAttention, LatentAttention, SlidingAttention
from hwledger.model.number_types import NumberType, number_type
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor

BASES: Final = {
    "Q1_0": "q1_0", "Q2_0": "q2_0", "Q4_0": "q4_0", "Q4_1": "q4_1", "Q5_0": "q5_0", "Q5_1": "q5_1",
    "Q8_0": "q8_0", "MXFP4_MOE": "mxfp4", "TQ1_0": "tq1_0", "TQ2_0": "tq2_0",
    "Q2_K": "q2_K", "Q2_K_S": "q2_K", "Q3_K_S": "q3_K", "Q3_K_M": "q3_K", "Q3_K_L": "q3_K",
    "Q4_K_S": "q4_K", "Q4_K_M": "q4_K", "Q5_K_S": "q5_K", "Q5_K_M": "q5_K", "Q6_K": "q6_K",
    "IQ1_S": "iq1_s", "IQ1_M": "iq1_m", "IQ2_XXS": "iq2_xxs", "IQ2_XS": "iq2_xs", "IQ2_S": "iq2_xs",
    "IQ2_M": "iq2_s", "IQ3_XXS": "iq3_xxs", "IQ3_XS": "iq3_s", "IQ3_S": "iq3_s", "IQ3_M": "iq3_s",
    "IQ4_NL": "iq4_nl", "IQ4_XS": "iq4_xs",
}  # fmt: skip
"""Number type that a mix gives to whatever no rule singles out."""

ALIASES: Final = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

_LOW_IQ: Final = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"}
_IQ2_FINE: Final = {"IQ2_S", "IQ2_M"}
# Mixes that llama-quantize refuses, or that nobody makes, without an importance matrix.
_WITH_IMATRIX: Final = {*_LOW_IQ, "IQ3_XXS", "Q2_K_S"}
_FALLBACK: Final = {
    **dict.fromkeys(
        ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"
    ),
    **dict.fromkeys(("q2_0", "q2_K", "q3_K", "tq1_0", "tq2_0"), "q4_0"),
    "q4_K": "q5_0", "q5_K": "q5_1", "q6_K": "q8_0",
}  # fmt: skip
_MOE8: Final = 8
_LAYERS_OF_70B: Final = 80  # llama.cpp tells its 70B class by the layer count
_GQA: Final = 4


class _Role(Enum):
    OUTPUT = auto()
    EMBEDDING = auto()
    QKV = auto()
    VALUE = auto()
    KEY = auto()
    QUERY = auto()
    ATTENTION_OUT = auto()
    UP = auto()
    GATE = auto()
    DOWN = auto()
    OTHER = auto()


@cache
def _roles() -> tuple[tuple[_Role, re.Pattern[str]], ...]:
    """Return what a tensor's name says of it: GGUF names first, then the spellings of checkpoints."""
    return tuple((role, re.compile(pattern)) for role, pattern in _NAMES)


_NAMES: Final = (
    (_Role.QKV, r"attn_qkv|qkv_proj|query_key_value|Wqkv|c_attn|W_pack"),
    (_Role.OTHER, r"attn_[kv]_b\b|kv_b_proj|linear_attn|mamba|mixer\.|ssm_"),
    (_Role.VALUE, r"attn_v\b|attn_kv_b\b|v_proj|\.value\b"),
    (_Role.KEY, r"attn_k\b|(?<!indexer\.)k_proj|\.key\b"),
    (_Role.QUERY, r"attn_q\b|(?<!indexer\.)q_proj|\.query\b"),
    (_Role.ATTENTION_OUT, r"attn_output|(?:attn|attention)\.(?:o_proj|out_proj|dense|wo|c_proj)"),
    (_Role.DOWN, r"ffn_down|down_proj|dense_4h_to_h|\.w2\b|fc2|mlp\.c_proj|output_linear"),
    (_Role.UP, r"ffn_up|up_proj|dense_h_to_4h|\.w3\b|fc1|c_fc|input_linear"),
    (_Role.GATE, r"ffn_gate|gate_proj|\.w1\b"),
)
_KEPT: Final = r"altup|laurel|per_layer_model_proj|conv1d|shortconv|position|token_types|rel_b"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the rules ask of a model."""

    layers: int
    query_per_kv: int
    experts: int
    tied: bool
    falcon: bool
    seventy: bool


def ggml_mix(name: str) -> str:
    """Return the canonical name of a mix; aliases as llama-quantize reads them (``Q4_K`` is ``Q4_K_M``).

    Raises:
        UnknownOptionError: there is no such mix.
    """
    key = name.upper().replace("-", "_")
    key = ALIASES.get(key, key)
    if key not in BASES:
        raise UnknownOptionError("ggml mix", name, sorted(BASES))
    return key


def is_ggml_mix(name: str) -> bool:
    """Return whether ``name`` is a mix that llama-quantize makes."""
    key = name.upper().replace("-", "_")
    return key in BASES or key in ALIASES


def mixed_types(spec: ModelSpec, mix: str) -> list[NumberType]:
    """Return the number type of each of ``spec.tensors`` in a file quantised as ``mix``."""
    values = sum(_role(t) in (_Role.VALUE, _Role.QKV) for t in spec.tensors if _quantised(t))
    choose = _Chooser(_facts(spec), ggml_mix(mix), values)
    return [choose(tensor) for tensor in spec.tensors]


def _facts(spec: ModelSpec) -> _Facts:
    sharing = 1
    for mixer in (mixer for layer in spec.layers for mixer in layer.mixers):
        if isinstance(mixer, FullAttention | SlidingAttention | ChunkedAttention):
            sharing = mixer.query_heads // max(1, mixer.kv_heads)
            break
        if isinstance(mixer, LatentAttention):  # the file states one KV head
            sharing = mixer.query_heads
            break
    channels = [layer.channel for layer in spec.layers]
    return _Facts(
        layers=len(spec.layers) + len(spec.mtp_layers),
        query_per_kv=sharing,
        experts=max((c.experts for c in channels if isinstance(c, MixtureOfExperts)), default=0),
        tied=spec.tied_embeddings,
        falcon=spec.architecture == "falcon",
        seventy=spec.architecture in {"llama", "qwen2"}
        and len(spec.layers) == _LAYERS_OF_70B
        and sharing > 1,
    )


def _role(tensor: Tensor) -> _Role:
    if tensor.part is Part.LM_HEAD:
        return _Role.OUTPUT
    if tensor.part in (Part.EMBEDDING, Part.PER_LAYER_EMBEDDING):
        return _Role.EMBEDDING
    return _named_role(tensor.name)


@lru_cache(maxsize=1 << 16)
def _named_role(name: str) -> _Role:
    return next((role for role, pattern in _roles() if pattern.search(name)), _Role.OTHER)


@lru_cache(maxsize=1 << 16)
def _kept_by_name(name: str) -> bool:
    return re.search(_KEPT, name) is not None


def _quantised(tensor: Tensor) -> bool:
    """Whether llama-quantize touches a tensor: matrices other than norms, routers and small oddments."""
    if len(tensor.shape) < 2 or tensor.part in (Part.NORM, Part.ROUTER, Part.TOWER):  # noqa: PLR2004
        return False
    return not _kept_by_name(tensor.name)


def _use_more_bits(i: int, n: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2  # noqa: PLR2004


class _Chooser:
    """Chooses a type for one tensor after the other; counts the value matrices it has seen."""

    def __init__(self, facts: _Facts, mix: str, values: int) -> None:
        self.facts = facts
        self.mix = mix
        self.base = BASES[mix]
        self.imatrix = mix in _WITH_IMATRIX
        self.values = values
        self.values_seen = 0

    def __call__(self, tensor: Tensor) -> NumberType:
        if not _quantised(tensor):
            return number_type(tensor.stored_type or ("f16" if tensor.part is Part.TOWER else "f32"))
        return self._fitting(self._wanted(tensor, _role(tensor)), tensor.shape[-1])

    def _fitting(self, wanted: str, columns: int) -> NumberType:
        kind = number_type(wanted)
        if columns % kind.block == 0:
            return kind
        kind = number_type(_FALLBACK.get(wanted, wanted))
        return kind if columns % kind.block == 0 else number_type("f16")

    def _wanted(self, tensor: Tensor, role: _Role) -> str:  # noqa: PLR0911 - one line per role
        layer = tensor.layer or 0
        if role is _Role.OUTPUT or (role is _Role.EMBEDDING and self.facts.tied):
            return self._output(tensor.shape[-1])
        if self.mix == "MXFP4_MOE":
            return "mxfp4" if tensor.part is Part.EXPERTS else "q8_0"
        if role is _Role.EMBEDDING:
            return self._embedding()
        if role in (_Role.VALUE, _Role.QKV):
            self.values_seen += 1
            return self._value(self.values_seen - 1)
        if self.mix in _LOW_IQ:
            return self._low(role, layer)
        if role in (_Role.KEY, _Role.QUERY):
            return self._key_or_query(role)
        if role is _Role.DOWN:
            return self._down(layer)
        if role is _Role.ATTENTION_OUT:
            return self._attention_out()
        middle = self.facts.layers // 8 <= layer < 7 * self.facts.layers // 8
        return "iq3_xxs" if self.mix == "IQ3_XS" and role in (_Role.UP, _Role.GATE) and middle else self.base

    def _output(self, columns: int) -> str:
        if self.mix == "MXFP4_MOE" or self.facts.falcon or columns % number_type(self.base).block:
            return "q8_0"
        if self.mix in _LOW_IQ or self.mix == "IQ3_XXS":
            return "q5_K"
        return "q8_0" if self.base == "q8_0" else "q6_K"

    def _embedding(self) -> str:
        if self.mix in {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"}:
            return "q2_K"
        if self.mix in {*_IQ2_FINE, "IQ3_XXS"}:
            return "iq3_s"
        return "q4_K" if self.mix in {"TQ1_0", "TQ2_0", "Q2_0"} else self.base

    def _low(self, role: _Role, layer: int) -> str:
        fine = "iq3_s" if self.mix in _IQ2_FINE else "q2_K"
        if role is _Role.KEY and self.facts.experts == _MOE8:
            return "q4_K"
        if role is _Role.DOWN:
            return fine if layer < self.facts.layers // 8 else self.base
        if role is _Role.ATTENTION_OUT:
            if self.facts.experts == _MOE8:
                return "q5_K"
            return {"IQ1_S": "iq2_xxs", "IQ1_M": "iq2_xxs", "IQ2_S": "iq3_s", "IQ2_M": "iq3_s"}.get(
                self.mix, self.base
            )
        return self.base

    def _value(self, seen: int) -> str:
        grouped = self.facts.query_per_kv >= _GQA
        if self.mix in _LOW_IQ:
            fine = "iq3_s" if self.mix in _IQ2_FINE else "q2_K"
            return "q4_K" if grouped or self.facts.experts >= _GQA else fine
        wanted = self._plain_value(seen, grouped=grouped)
        if self.facts.seventy and wanted in {"q3_K", "q4_K"}:
            wanted = "q5_K"
        return "q8_0" if self.facts.experts == _MOE8 else wanted

    def _plain_value(self, seen: int, *, grouped: bool) -> str:  # noqa: PLR0911 - one line per mix
        mix = self.mix
        if mix in {"Q4_K_M", "Q5_K_M"}:
            return "q6_K" if _use_more_bits(seen, self.values) else self.base
        if mix == "Q2_K":
            return "q4_K" if grouped else "q3_K"
        if grouped and mix in {"Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"}:
            return "q4_K"
        if grouped and mix in {"IQ4_NL", "IQ4_XS"}:
            return "q5_K"
        if mix == "Q3_K_M":
            return "q5_K" if seen < 2 else "q4_K"  # noqa: PLR2004
        if mix == "Q4_K_S" and seen < 4:  # noqa: PLR2004
            return "q5_K"
        return {"Q3_K_L": "q5_K", "IQ3_M": "q4_K"}.get(mix, self.base)

    def _key_or_query(self, role: _Role) -> str:
        if role is _Role.KEY and self.facts.experts == _MOE8:
            return "q8_0"
        return {"IQ3_XS": "iq3_xxs", "IQ3_XXS": "iq2_s"}.get(self.mix, self.base)

    def _down(self, i: int) -> str:  # noqa: PLR0911 - one line per mix
        mix, n = self.mix, self.facts.layers
        early, more = i < n // 8, _use_more_bits(i, n)
        if mix == "Q3_K_M":
            plain = "q4_K" if more or not self.facts.falcon else "q3_K"
            return "q5_K" if i < n // 16 else plain
        if mix == "Q4_K_M" and self.facts.falcon:
            return "q6_K" if i < n // 16 else "q5_K" if more else "q4_K"
        if mix in {"Q4_K_M", "Q5_K_M"}:
            return "q6_K" if more else self.base
        if mix == "IQ3_M":
            return "q4_K" if early or (self.facts.experts == _MOE8 and more) else self.base
        if mix == "Q3_K_L":
            return "q4_K" if self.facts.falcon else "q5_K"
        first = {"Q2_K_S": "q4_K", "Q4_K_S": "q5_K", "IQ4_NL": "q5_K", "IQ4_XS": "q5_K"}
        if mix in first and early and not (mix == "Q4_K_S" and self.facts.falcon):
            return first[mix]
        return "q3_K" if mix == "Q2_K" else self.base

    def _attention_out(self) -> str:
        if self.facts.falcon:
            return "q4_K" if self.mix == "Q3_K_L" else self.base
        if self.facts.experts == _MOE8:
            eight = {"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M"}
            return "q5_K" if self.mix in {*eight, "IQ4_NL", "IQ4_XS"} else self.base
        wanted = {"Q2_K": "q3_K", "IQ3_XXS": "iq3_s", "Q3_K_M": "q4_K", "Q3_K_L": "q5_K", "IQ3_M": "q4_K"}
        return wanted.get(self.mix, self.base)
