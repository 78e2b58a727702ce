"""The llama.cpp profile: what ``llama-server`` takes of devices and host memory."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.engines.llama_cpp.cache import layer_memories
from hwledger.planner.engines.llama_cpp.components import (
    Part,
    cache_parts,
    compute_component,
    gather,
    kv_blank,
    output_component,
    state_blank,
    weight_components,
    weight_parts,
)
from hwledger.planner.engines.llama_cpp.compute import ComputeBuffers, Offload, Placement, estimate_compute
from hwledger.planner.engines.llama_cpp.compute.from_model import graph_of_model
from hwledger.planner.engines.llama_cpp.context import ResolvedContext
from hwledger.planner.engines.llama_cpp.dialect import Dialect, dialect_of
from hwledger.planner.engines.llama_cpp.options import KV_TYPES, OPTIONS
from hwledger.planner.engines.llama_cpp.placement import Places, place
from hwledger.planner.engines.llama_cpp.settings import NEWEST, Settings, build_number, settle
from hwledger.planner.engines.llama_cpp.weights import Loads, loads_of
from hwledger.planner.memory import HOST, Basis, Category, Component, EngineMemory, LayerMemory
from hwledger.planner.options import Option
from hwledger.planner.request import Request
from hwledger.planner.weights import weigh

KEPT: Final = ("tensor_split", "split_mode", "main_gpu", "mmap", "backend")
CONTEXT_NAMES: Final = {"NVIDIA": "CUDA context", "AMD": "HIP context"}


class LlamaCppProfile:
    """llama.cpp, with ``llama-server``'s defaults."""

    name = "llama.cpp"
    newest = f"b{NEWEST}"
    kv_types = KV_TYPES
    options: Mapping[str, Option] = OPTIONS

    def check_version(self, version: str) -> str:
        """Return a build as ``bNNNN``.

        Raises:
            UsageError: it is no build, or older than the rules reach.
        """
        return f"b{build_number(version)}"

    def device_class(self, device: DeviceSpec) -> str:
        """Return a key: alike devices get the same answer but for context and usable bytes."""
        return device.vendor

    def cache_on_demand(self, request: Request) -> bool:
        """Return whether a request takes cache as it grows, and not a whole context from its start."""
        return request.options.get("kv_unified") is True

    def memory(self, request: Request) -> EngineMemory:
        """Return the memory of ``request`` over devices and host.

        Without a device everything is planned on one of unknown size, each tensor once; with
        ``n_gpu_layers=0`` and no device, on the host.

        Raises:
            UsageError: options contradict each other or the model.
        """
        dialect = dialect_of(request.spec, build_number(request.version))
        return _Planned(request, dialect, settle(request, dialect)).answer()


class _Planned:
    """One request while it is planned."""

    def __init__(self, request: Request, dialect: Dialect, settings: Settings) -> None:
        self.request, self.dialect, self.settings = request, dialect, settings
        self.spec, self.context = request.spec, settings.context
        self.loads: Loads = loads_of(request.spec, request.weights)
        self.layers = len(self.spec.layers) + len(self.spec.mtp_layers)
        self.places: Places = place(settings, request.devices, self.layers)
        self.memories = layer_memories(self.spec.layers, self.context, dialect)

    @property
    def host_only(self) -> bool:
        """No device at all: the CPU computes."""
        return not self.request.devices and self.settings.gpu_layers == 0

    @property
    def together(self) -> bool:
        """One device of unknown size with everything on it."""
        everything = self.settings.gpu_layers is None or self.settings.gpu_layers > self.layers
        return not self.request.devices and everything and not self.places.experts_on_host

    def answer(self) -> EngineMemory:
        """Return the engine's answer."""
        settings, context = self.settings, self.context
        total = sum(one.kv_cache_bytes + one.state_bytes for one in self.memories)
        return EngineMemory(
            components=tuple(self._components()),
            layers=self.memories,
            context_tokens=settings.context_tokens,
            concurrency=settings.concurrency,
            kv_type=_kv_type(context),
            options=self._options(),
            kv_cache_bytes_per_token=self._growth(),
            bytes_per_request=total // context.n_seq_max,
            not_modelled=self._not_modelled(),
            warnings=self._warnings(),
        )

    def _components(self) -> list[Component]:
        mtp = self._mtp_memories()
        memories = (*self.memories, *mtp)
        found = weight_components(self._weights(), weigh(self.spec, self.request.weights))
        found += gather(cache_parts(self.settings, self.places, memories, "kv_cache_bytes"), kv_blank())
        found += gather(cache_parts(self.settings, self.places, memories, "state_bytes"), state_blank())
        found += self._scratch()
        if self.dialect.cached:
            found.append(output_component(self.spec.vocab_size, self.context.n_seq_max))
        return [*found, *self._contexts()]

    def _weights(self) -> list[Part]:
        loaded = self.layers if self.settings.mtp else len(self.spec.layers)
        if not self.together:
            return weight_parts(self.loads, self.places, loaded)
        table = weigh(self.spec, self.request.weights)
        return [Part(0, table.total + (table.mtp if self.settings.mtp else 0))]

    def _mtp_memories(self) -> tuple[LayerMemory, ...]:
        if not (self.settings.mtp_cached and self.spec.mtp_layers):
            return ()
        return layer_memories(self.spec.mtp_layers, self.context, self.dialect)

    def _scratch(self) -> list[Component]:
        """The compute buffers; none can be said where only an encoder's layers are known."""
        if not self.spec.layers:
            return []
        compute = self._compute()
        found = [
            compute_component(one, index)
            for index, one in zip(self.places.devices, compute.devices, strict=False)
            if one.size_bytes
        ]
        return [*found, compute_component(compute.host, HOST, inputs=not self.host_only)]

    def _compute(self) -> ComputeBuffers:
        graph = graph_of_model(self.spec, self.context, windows=self.dialect.windows)
        return estimate_compute(graph, self._placement(), self.settings.build)

    def _placement(self) -> Placement:
        if self.host_only:
            return Placement(devices=0)
        on_host = sum(one == HOST for one in self.places.layers)
        experts = self.loads.experts[: self.places.experts_on_host]
        copied = [one.largest for one in experts]
        if on_host:
            copied += [
                max(self.loads.layers[i].largest, self.loads.experts[i].largest) for i in range(on_host)
            ]
        offload = Offload.SOME if on_host or self.places.output == HOST else Offload.ALL
        return Placement(
            devices=len(self.places.devices),
            offload=Offload.NONE if self.places.output == HOST else offload,
            copied_bytes=max(copied, default=0), output_bytes=self.loads.output.largest,
            op_offload=self.settings.op_offload, overrides=self.places.experts_on_host > 0,
        )  # fmt: skip

    def _contexts(self) -> list[Component]:
        return [
            Component(
                name=CONTEXT_NAMES.get(device.vendor, "driver context"), category=Category.RUNTIME,
                size_bytes=device.context_bytes, basis=Basis.ASSUMED, place=index,
                source=device.source or "device catalogue",
            )
            for index, device in enumerate(self.request.devices)
            if device.context_bytes and index in self.places.devices
        ]  # fmt: skip

    def _growth(self) -> int:
        """Bytes that the cache grows by for one more token of one request, on the average over a pad."""
        context = self.context
        longer = replace(context, n_ctx_seq=context.n_ctx_seq + context.pad)
        grown = layer_memories(self.spec.layers, longer, self.dialect)
        more = sum(one.kv_cache_bytes for one in grown) - sum(one.kv_cache_bytes for one in self.memories)
        return more // (context.pad * context.streams)

    def _options(self) -> dict[str, object]:
        context, settings = self.context, self.settings
        return {
            "n_ctx": context.n_ctx, "n_batch": context.n_batch, "n_ubatch": context.n_ubatch,
            "n_parallel": context.n_seq_max, "kv_unified": context.kv_unified,
            "flash_attn": "on" if context.flash_attn else "off", "cache_type_k": context.type_k.name,
            "cache_type_v": context.type_v.name, "swa_full": context.swa_full,
            "n_gpu_layers": self.layers + 1 if settings.gpu_layers is None else settings.gpu_layers,
            "n_cpu_moe": self.places.experts_on_host, "no_kv_offload": not context.offload_kqv,
            "n_outputs_max": context.n_outputs_max, "n_rs_seq": context.n_rs_seq, "load_mtp": settings.mtp,
            "op_offload": settings.op_offload, **_kept(self.request),
        }  # fmt: skip

    def _not_modelled(self) -> tuple[str, ...]:
        said = ["working memory of cuBLAS and the driver beyond the process's context"]
        if not self.request.devices and not self.host_only:
            said.append("the driver's own context, which depends on the device")
        if self.spec.encoder_layers:
            said.append("the encoder's compute buffer")
        if self.host_only or any(one == HOST for one in self.places.layers):
            said.append("weights re-packed for the CPU, a second copy where llama.cpp makes one")
        return tuple(said)

    def _warnings(self) -> tuple[str, ...]:
        said = list(self.settings.warnings)
        trained = self.spec.context_length
        if trained and self.settings.context_tokens > trained:
            said.append(
                f"the context of {self.settings.context_tokens} tokens exceeds the {trained} trained for"
            )
        if not self.dialect.cached:
            said.append(f"llama.cpp keeps no cache for {self.spec.architecture}")
        if self.spec.mtp_layers and not self.settings.mtp:
            said.append(
                "multi-token-prediction blocks are in the file and not loaded; load_mtp=on loads them"
            )
        if not self.spec.weights_known:
            said.append("weights are unknown: only metadata was read, so whether it fits is not known")
        return tuple(said)


def _kv_type(context: ResolvedContext) -> str:
    key, value = context.type_k.name, context.type_v.name
    return key if key == value else f"{key} (K), {value} (V)"


def _kept(request: Request) -> dict[str, object]:
    return {name: request.options[name] for name in KEPT if name in request.options}
