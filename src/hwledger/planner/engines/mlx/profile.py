"""The MLX profile: what mlx-lm takes of the unified memory."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.errors import UsageError
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    FullAttention,
    LatentAttention,
    Mamba1,
    Mamba2,
    Mixer,
    SlidingAttention,
)
from hwledger.model.tensors import Part
from hwledger.planner.engines.activations import activation_type, attention_heads, hidden_units, item_bytes
from hwledger.planner.engines.mlx.cache import (
    CacheRules,
    grows,
    kv_bytes,
    prefill_overshoot,
    state_bytes,
    token_bytes,
)
from hwledger.planner.engines.versions import check_dotted
from hwledger.planner.memory import Basis, Category, Component, EngineMemory, LayerMemory
from hwledger.planner.options import Option, choice, integer, positive
from hwledger.planner.request import Request
from hwledger.planner.weights import weigh
from hwledger.shipped import shipped_text
from hwledger.units import MIB, format_gib

RELEASE: Final = "mlx-lm 0.32.2"
DEFAULTS: Final = {"kv_group_size": 64, "quantized_kv_start": 5000, "prefill_step_size": 2048}
KV_BITS: Final = {
    "8bit": 8,
    "4bit": 4,
    "2bit": 2,
    "q8": 8,
    "q4": 4,
    "int8": 8,
    "int4": 4,
    "q8_0": 8,
    "q4_0": 4,
}
RUNTIME_BYTES: Final = 300 * MIB
WIRED_SHARE: Final = 0.9  # above it mlx-lm itself warns


class MlxProfile:
    """mlx-lm on one Apple device."""

    name = "mlx"
    newest = "0.32.2"
    oldest = "0.24.0"
    kv_types = ("8bit", "4bit")
    weight_types = ("8bit", "6bit", "4bit", "3bit")
    options: Mapping[str, Option] = {
        "max_kv_size": Option(
            positive, "tokens that a cache keeps, for models that build no cache of their own"
        ),
        "kv_bits": Option(choice("2", "4", "8"), "bits of a quantised cache"),
        "kv_group_size": Option(choice("32", "64", "128"), "elements that share a scale (64)"),
        "quantized_kv_start": Option(integer, "tokens after which the cache is quantised (5000)"),
        "prefill_step_size": Option(positive, "prompt tokens processed at once (2048)"),
        "max_context": Option(positive, "tokens of one request", ("max_tokens", "n_ctx", "context_length")),
        "num_concurrent": Option(positive, "requests at once", ("decode_concurrency", "batch_size")),
    }

    def check_version(self, version: str) -> str:
        """Return the release number of mlx-lm.

        Raises:
            UsageError: it is none, or older than 0.24.
        """
        return check_dotted("mlx-lm", version, self.oldest)

    def device_class(self, device: DeviceSpec) -> str:
        """Return a key: alike devices get the same answer but for their usable bytes."""
        return device.vendor

    def breaks(self, request: Request) -> tuple[int, ...]:
        """Return the lengths of a context at which the rules change: where quantising the cache begins."""
        return (_whole({**DEFAULTS, **request.options}["quantized_kv_start"]),)

    def cache_on_demand(self, request: Request) -> bool:
        """Return whether a request takes cache as it grows, and not a whole context from its start."""
        del request
        return True

    def memory(self, request: Request) -> EngineMemory:
        """Return the memory of ``request``; all of it on the first device, mlx-lm uses one.

        Raises:
            UsageError: a cache that mlx-lm cannot quantise.
        """
        return _Planned(request).answer()


class _Planned:
    """One request while it is planned."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.spec = request.spec
        options = {**DEFAULTS, **request.options}
        self.tokens = _whole(options.get("max_context") or request.workload.context_tokens)
        self.users = _whole(options.get("num_concurrent") or request.workload.concurrency)
        self.options = options
        self.warnings: list[str] = []
        self.kv_type = activation_type(self.spec).name
        if len(request.devices) > 1:
            self.warnings.append(
                f"mlx-lm runs on one device: everything is planned on {request.devices[0].name}"
            )
        if self.spec.format == "gguf":
            self.warnings.append("mlx-lm does not read GGUF: planned as a converted model of this size")
        self.rules = self._rules()

    def _rules(self) -> CacheRules:
        kind = _architectures().get(self.spec.architecture)
        self.unknown = kind is None
        if kind is None:
            self.warnings.append(
                f"{RELEASE} has no model file for {self.spec.architecture}: its caches are assumed"
            )
        most = self._bound(own_cache=kind is not None and kind[0])
        group = _whole(self.options["kv_group_size"])
        return CacheRules(
            tokens=self.tokens, item_bytes=item_bytes(self.spec),
            bits=self._bits(group, bounded=most is not None), group=group, most=most,
            latent_expanded=kind is not None and kind[1] == "expanded",
            prefill_step=_whole(self.options["prefill_step_size"]),
        )  # fmt: skip

    def _bound(self, *, own_cache: bool) -> int | None:
        most = self.options.get("max_kv_size")
        if most is not None and own_cache:
            self.warnings.append(
                f"max_kv_size does nothing: mlx-lm's {self.spec.architecture} builds its own caches"
            )
            return None
        return _whole(most) if most is not None else None

    def _bits(self, group: int, *, bounded: bool) -> int | None:
        bits = self._asked_bits()
        if bits is None:
            return None
        start = _whole(self.options["quantized_kv_start"])
        if self.tokens < start:
            self.warnings.append(
                f"the cache is quantised from {start} tokens on (quantized_kv_start), not before"
            )
            return None
        for mixer in (mixer for layer in self.spec.layers for mixer in layer.mixers):
            _check_quantisable(mixer, group, bounded=bounded)
        self.kv_type = f"{bits}bit"
        return bits

    def _asked_bits(self) -> int | None:
        if "kv_bits" in self.options:
            return _whole(self.options["kv_bits"])
        wanted = self.request.kv_cache
        if wanted is None or wanted.lower() in {
            "auto",
            "f16",
            "bf16",
            "fp16",
            "float16",
            "bfloat16",
            self.kv_type,
        }:
            return None  # mlx-lm keeps the cache in the model's own 16-bit type
        if wanted.lower() not in KV_BITS:
            raise UsageError(f"mlx cannot keep its cache as {wanted}; give 8bit, 4bit or 2bit, or nothing")
        return KV_BITS[wanted.lower()]

    def answer(self) -> EngineMemory:
        """Return everything."""
        layers = tuple(self._layer(layer.mixers) for layer in self.spec.layers)
        growing = [m for layer in self.spec.layers for m in layer.mixers if grows(m, self.rules)]
        shown = {name: value for name, value in self.options.items() if value is not None}
        components = self._components(layers)
        return EngineMemory(
            components=components, layers=layers, context_tokens=self.tokens, concurrency=self.users,
            kv_type=self.kv_type, options=shown,
            kv_cache_bytes_per_token=sum(token_bytes(mixer, self.rules) for mixer in growing),
            bytes_per_request=sum(m.kv_cache_bytes + m.state_bytes for m in layers) // self.users,
            not_modelled=("prompt caches kept between requests", "image and audio inputs"),
            warnings=(*self.warnings, *self._towers(), *self._wired()),
        )  # fmt: skip

    def _layer(self, mixers: tuple[Mixer, ...]) -> LayerMemory:
        rules = replace(self.rules, bits=None) if _stays_plain(mixers) else self.rules
        return LayerMemory(
            kv_cache_bytes=self.users * sum(kv_bytes(mixer, rules) for mixer in mixers),
            state_bytes=self.users * sum(state_bytes(mixer, self.rules) for mixer in mixers),
        )

    def _components(self, layers: tuple[LayerMemory, ...]) -> tuple[Component, ...]:
        weights = weigh(self.spec, self.request.weights)
        kv = sum(layer.kv_cache_bytes for layer in layers)
        state = sum(layer.state_bytes for layer in layers)
        compute = self._compute()
        mixers = [mixer for layer in self.spec.layers for mixer in layer.mixers]
        rotating = any(isinstance(mixer, SlidingAttention) for mixer in mixers)
        promoted = any(isinstance(mixer, Mamba1 | Mamba2) for mixer in mixers)
        guessed = any(isinstance(mixer, CompressedAttention) for mixer in mixers)
        cache_source = f"{RELEASE} mlx_lm/models/cache.py"
        return (
            Component(name="weights", category=Category.WEIGHTS, size_bytes=weights.total,
                      basis=weights.basis, source=weights.source,
                      low_bytes=weights.low, high_bytes=weights.high),
            Component(name="kv_cache", category=Category.KV_CACHE, size_bytes=kv,
                      basis=Basis.ASSUMED if guessed or self.unknown else Basis.EXACT, source=cache_source,
                      low_bytes=round(kv * 0.9) if rotating else kv),
            Component(name="state", category=Category.STATE, size_bytes=state,
                      basis=Basis.ASSUMED if promoted else Basis.EXACT,
                      source=f"{cache_source} ArraysCache", low_bytes=state // 2 if promoted else state),
            Component(name="compute", category=Category.COMPUTE, size_bytes=compute, basis=Basis.ASSUMED,
                      source=f"estimate: activations of one prompt step, {RELEASE} mlx_lm/generate.py",
                      low_bytes=compute // 2, high_bytes=3 * compute),
            Component(name="runtime", category=Category.RUNTIME, size_bytes=RUNTIME_BYTES,
                      basis=Basis.ASSUMED, source="Python, MLX and Metal: 300 MiB assumed",
                      low_bytes=RUNTIME_BYTES // 2, high_bytes=2 * RUNTIME_BYTES),
        )  # fmt: skip

    def _compute(self) -> int:
        """Activations of the widest layer for one prompt step, score matrices of MLA, logits of one token."""
        rules, spec = self.rules, self.spec
        step = min(rules.prefill_step, rules.tokens)
        activations = step * hidden_units(spec) * rules.item_bytes
        scores = 0
        if any(isinstance(mixer, LatentAttention) for layer in spec.layers for mixer in layer.mixers):
            scores = (
                attention_heads(spec) * step * rules.grown() * rules.item_bytes
            )  # deepseek_v3.py pe_scores
        overshoot = sum(prefill_overshoot(mixer, rules) for layer in spec.layers for mixer in layer.mixers)
        logits = 2 * self.users * spec.vocab_size * 4
        return activations + scores + overshoot + logits

    def _towers(self) -> tuple[str, ...]:
        size = weigh(self.spec, self.request.weights).by_part.get(Part.TOWER, 0)
        if not size:
            return ()
        return (
            f"vision and audio towers ({format_gib(size)}) are counted: mlx-vlm loads them, mlx-lm does not",
        )

    def _wired(self) -> tuple[str, ...]:
        if not self.request.devices:
            return ()
        usable = self.request.devices[0].usable_bytes
        if weigh(self.spec, self.request.weights).total <= WIRED_SHARE * usable:
            return ()
        return (
            "the weights take more than 90 % of the recommended working set: mlx-lm warns and runs slowly",
        )


def _check_quantisable(mixer: Mixer, group: int, *, bounded: bool) -> None:
    """Refuse what mlx-lm refuses while it runs."""
    if isinstance(mixer, SlidingAttention) or bounded:
        raise UsageError(
            "mlx-lm cannot quantise rotating caches (sliding windows, max_kv_size); leave kv_bits out"
        )
    widths: tuple[int, ...] = ()
    if isinstance(mixer, FullAttention):
        widths = (mixer.key_width, mixer.value_width)
    for width in widths:
        if width % group:
            raise UsageError(
                f"mlx-lm cannot quantise heads of width {width} in groups of {group}; "
                "give a kv_group_size that divides it, or leave kv_bits out"
            )


def _stays_plain(mixers: tuple[Mixer, ...]) -> bool:
    """Whether a layer's cache has no quantised form and is left as it is.

    Layers with several caches (``CacheList``) and chunked ones have no ``to_quantized``.
    """
    indexed = any(isinstance(mixer, LatentAttention) and mixer.indexer for mixer in mixers)
    return len(mixers) > 1 or indexed or any(isinstance(mixer, ChunkedAttention) for mixer in mixers)


def _whole(value: object) -> int:
    return int(str(value))


@cache
def _architectures() -> dict[str, tuple[bool, str]]:
    """Per model_type: whether it builds its own caches, and how it keeps the latent of MLA."""
    text = shipped_text("hwledger.planner.engines.mlx", "data/architectures.csv")
    rows = csv.DictReader(text.splitlines())
    return {row["model_type"]: (row["own_cache"] == "yes", row["latent"]) for row in rows}


profile = MlxProfile()
