"""The transformers profile: ``generate`` with a model of one or several devices."""

from collections.abc import Mapping
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.model.mixers import CompressedAttention, FullAttention, LatentAttention, Mixer
from hwledger.model.number_types import number_type
from hwledger.model.tensors import Part
from hwledger.planner.engines.activations import (
    activation_type,
    attention_heads,
    hidden_units,
    item_bytes,
)
from hwledger.planner.engines.transformers.cache import CacheRules, grows, kv_bytes, state_bytes, token_bytes
from hwledger.planner.engines.transformers.options import OFFLOADED, OPTIONS, STATIC
from hwledger.planner.engines.transformers.placement import places
from hwledger.planner.engines.versions import check_dotted
from hwledger.planner.memory import HOST, Basis, Category, Component, EngineMemory, LayerMemory
from hwledger.planner.options import Option
from hwledger.planner.request import OptionValue, Request
from hwledger.planner.weights import WeightTable, weigh
from hwledger.units import MIB

RELEASE: Final = "transformers 5.23.0"
QUANTISED_KV: Final = {
    "int4": ("quanto", 4), "q4": ("quanto", 4), "int2": ("quanto", 2), "int8": ("hqq", 8), "fp8": ("fp8", 8)
}  # fmt: skip
CONTEXT_BYTES: Final = 400 * MIB
EAGER_COPIES: Final = 3  # scores, their float32 softmax (two items wide), and the result


class TransformersProfile:
    """transformers' ``generate``."""

    name = "transformers"
    newest = "5.23.0"
    oldest = "5.0.0"
    kv_types = ("fp8", "int4")
    weight_types = ("int8", "nf4")
    options: Mapping[str, Option] = OPTIONS

    def check_version(self, version: str) -> str:
        """Return the release number of transformers.

        Raises:
            UsageError: it is none, or older than 5.0 (caches were other classes then).
        """
        return check_dotted("transformers", version, self.oldest)

    def device_class(self, device: DeviceSpec) -> str:
        """Return a key: alike devices get the same answer but for context and usable bytes."""
        return device.vendor

    def cache_on_demand(self, request: Request) -> bool:
        """Return whether a request takes cache as it grows, and not a whole context from its start."""
        return request.options.get("cache_implementation") not in STATIC

    def memory(self, request: Request) -> EngineMemory:
        """Return the memory of ``request``.

        Raises:
            UsageError: options contradict each other or the model.
        """
        return _Planned(request).answer()


class _Planned:
    """One request while it is planned."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.spec = request.spec
        self.options = request.options
        self.warnings: list[str] = []
        self.tokens = _whole(self.options.get("max_length"), request.workload.context_tokens)
        self.users = _whole(self.options.get("batch_size"), request.workload.concurrency)
        self.kv_type = activation_type(self.spec).name
        self.kind = self._kind()
        self.rules = self._rules()
        self.weights = weigh(self.spec, self._weight_type())
        self.place_of = places(self.weights.by_layer, request.devices)

    def _kind(self) -> str:
        stated = self.options.get("cache_implementation")
        wanted = (self.request.kv_cache or "").lower()
        plain = {"", "auto", "f16", "bf16", "f32", "fp16", "float16", "bfloat16", "float32", self.kv_type}
        if wanted in plain:
            return str(stated or "dynamic")
        if wanted not in QUANTISED_KV or stated not in (None, "quantized"):
            raise UsageError(
                f"transformers cannot keep a {stated or 'dynamic'} cache as {wanted}; "
                f"give {', '.join(QUANTISED_KV)}, or nothing for the model's own type"
            )
        return "quantized"

    def _rules(self) -> CacheRules:
        size = item_bytes(self.spec)
        if self.kind == "quantized":
            return self._quantised_rules(size)
        static = self.kind in STATIC
        if "max_cache_len" in self.options and not static:
            raise UsageError("max_cache_len needs cache_implementation=static")
        length = max(self.tokens, _whole(self.options.get("max_cache_len"), self.tokens))
        return CacheRules(tokens=length, item_bytes=size, static=static)

    def _quantised_rules(self, size: int) -> CacheRules:
        if any(
            not isinstance(m, FullAttention | LatentAttention)
            for layer in self.spec.layers
            for m in layer.mixers
        ):
            raise UsageError(
                "transformers quantises the cache of models with full attention in every layer only; "
                "leave the quantised cache out"
            )
        backend, bits = QUANTISED_KV.get((self.request.kv_cache or "").lower(), ("quanto", 4))
        backend = str(self.options.get("backend") or backend)
        if backend == "fp8":
            self.kv_type = "fp8"
            return CacheRules(tokens=self.tokens, item_bytes=size, bits=8, group=0)
        bits = _whole(self.options.get("nbits"), bits)
        if backend == "quanto" and bits not in (2, 4):
            raise UsageError(f"quanto keeps caches in 2 or 4 bits, not {bits}; give backend=hqq")
        self.kv_type = f"int{bits}"
        return CacheRules(
            tokens=self.tokens, item_bytes=size, bits=bits,
            group=_whole(self.options.get("q_group_size"), 64),
            residual=_whole(self.options.get("residual_length"), 128),
        )  # fmt: skip

    def _weight_type(self) -> str | None:
        if self.request.weights is not None:
            return self.request.weights
        wanted = str(self.options.get("dtype", "auto"))
        if self.spec.format == "gguf":  # ``modeling_gguf_pytorch_utils.py``
            self.warnings.append("transformers unpacks GGUF weights on loading: they are planned unpacked")
            return number_type(self.kv_type if wanted == "auto" else wanted).name
        if wanted == "auto" or self.spec.quantisation is not None:
            return None
        try:
            return number_type(wanted).name
        except UnknownOptionError:
            raise UsageError(
                f"the dtype {wanted!r} is not known; give auto, bfloat16, float16 or float32"
            ) from None

    def answer(self) -> EngineMemory:
        """Return everything."""
        layers = tuple(self._layer(layer.mixers) for layer in self.spec.layers)
        growing = [m for layer in self.spec.layers for m in layer.mixers if grows(m, self.rules)]
        return EngineMemory(
            components=(
                *self._weights(), *self._caches(layers), *self._workspace(layers), *self._runtime(),
            ),
            layers=layers, context_tokens=self.tokens, concurrency=self.users, kv_type=self.kv_type,
            options=self._resolved(),
            kv_cache_bytes_per_token=sum(token_bytes(mixer, self.rules) for mixer in growing),
            bytes_per_request=sum(m.kv_cache_bytes + m.state_bytes for m in layers) // self.users,
            not_modelled=("padding of requests of unequal length", "fragmentation of the CUDA allocator"),
            warnings=tuple(self.warnings),
        )  # fmt: skip

    def _resolved(self) -> dict[str, object]:
        defaults = {"cache_implementation": self.kind, "attn_implementation": self._attention()}
        return {**defaults, **self.options, "cache_implementation": self.kind}

    def _layer(self, mixers: tuple[Mixer, ...]) -> LayerMemory:
        if self.options.get("use_cache") is False:
            return LayerMemory(0, 0)
        residual = CacheRules(tokens=min(self.rules.residual, self.tokens), item_bytes=self.rules.item_bytes)
        kv = sum(kv_bytes(mixer, self.rules) for mixer in mixers)
        kv += sum(kv_bytes(mixer, residual) for mixer in mixers) if self.rules.residual else 0
        return LayerMemory(
            kv_cache_bytes=self.users * kv,
            state_bytes=self.users * sum(state_bytes(mixer, self.rules) for mixer in mixers),
        )

    def _weights(self) -> list[Component]:
        """Weights per device: the embedding with the first layers, the head and the rest with the last."""
        table, count = self.weights, max(1, len(self.request.devices))
        sizes = [0] * count
        for place, size in zip(self.place_of, table.by_layer, strict=True):
            sizes[place] += size
        first = table.by_part.get(Part.EMBEDDING, 0) + table.by_part.get(Part.TOWER, 0)
        first = min(first, table.outside_layers)
        sizes[0] += first
        sizes[-1] += table.outside_layers - first
        host = self.options.get("device_map") == "cpu"
        return [self._weight(table, HOST if host else i, size) for i, size in enumerate(sizes) if size]

    def _weight(self, table: WeightTable, place: int, size: int) -> Component:
        share = size / max(1, table.total)
        return Component(
            name="weights", category=Category.WEIGHTS, size_bytes=size, basis=table.basis, place=place,
            source=table.source, low_bytes=min(size, round(table.low * share)),
            high_bytes=max(size, round(table.high * share)),
        )  # fmt: skip

    def _caches(self, layers: tuple[LayerMemory, ...]) -> list[Component]:
        host = self.kind in OFFLOADED or self.options.get("device_map") == "cpu"
        found = []
        for place in sorted(set(self.place_of)):
            mine = [layer for layer, at in zip(layers, self.place_of, strict=True) if at == place]
            where = HOST if host else place
            found.append(
                self._cache("kv_cache", Category.KV_CACHE, where, sum(m.kv_cache_bytes for m in mine))
            )
            found.append(self._cache("state", Category.STATE, where, sum(m.state_bytes for m in mine)))
        return found

    def _cache(self, name: str, category: Category, place: int, size: int) -> Component:
        guessed = any(isinstance(m, CompressedAttention) for layer in self.spec.layers for m in layer.mixers)
        quantised = self.rules.bits is not None and category is Category.KV_CACHE
        basis = Basis.CALIBRATED if quantised else Basis.ASSUMED if guessed else Basis.EXACT
        return Component(
            name=name, category=category, size_bytes=size, basis=basis, place=place,
            source=f"{RELEASE} cache_utils.py",
            low_bytes=size if basis is Basis.EXACT else round(size * 0.9),
            high_bytes=size if basis is Basis.EXACT else round(size * 1.1),
        )  # fmt: skip

    def _attention(self) -> str:
        return str(self.options.get("attn_implementation") or "sdpa")

    def _workspace(self, layers: tuple[LayerMemory, ...]) -> list[Component]:
        """Activations of the prompt, scores, logits, and the copy that a growing cache makes."""
        spec, size = self.spec, self.rules.item_bytes
        step = min(self.tokens, _whole(self.options.get("prefill_chunk_size"), self.tokens))
        rows = self.users * step
        scores = self._scores(step) * size
        logits_rows = rows if self.options.get("full_logits") else self.users
        copy = 0 if self.rules.static else max((layer.kv_cache_bytes for layer in layers), default=0)
        copy = copy * 16 // self.rules.bits if self.rules.bits else copy  # unpacked before it is read
        total = rows * hidden_units(spec) * size + scores + logits_rows * spec.vocab_size * (size + 4) + copy
        source = (
            f"estimate: one layer's activations, scores, logits and cache copy, {RELEASE} generation/utils.py"
        )
        return [
            Component(name="compute", category=Category.COMPUTE, size_bytes=total, basis=Basis.ASSUMED,
                      place=place, source=source, low_bytes=total // 2, high_bytes=2 * total)
            for place in sorted(set(self.place_of) or {0})
        ]  # fmt: skip

    def _scores(self, step: int) -> int:
        """Elements of the score matrices of eager attention, or of the mask that sdpa may need."""
        if self._attention() == "eager":
            return self.users * attention_heads(self.spec) * step * self.rules.tokens * EAGER_COPIES
        windowed = any(layer.kind != "full_attention" for layer in self.spec.layers)
        masked = self._attention() == "sdpa" and (windowed or self.users > 1)
        return self.users * step * self.rules.tokens // self.rules.item_bytes if masked else 0

    def _runtime(self) -> list[Component]:
        devices = self.request.devices
        return [
            Component(
                name="runtime", category=Category.RUNTIME, place=place, basis=Basis.ASSUMED,
                size_bytes=devices[place].context_bytes if devices else CONTEXT_BYTES,
                source="context of one process, device catalogue" if devices else "context: 400 MiB assumed",
                low_bytes=(devices[place].context_bytes if devices else CONTEXT_BYTES) // 2,
                high_bytes=2 * (devices[place].context_bytes if devices else CONTEXT_BYTES),
            )
            for place in range(max(1, len(devices)))
        ]  # fmt: skip


def _whole(value: OptionValue, default: int) -> int:
    return default if value is None else int(str(value))


profile = TransformersProfile()
