"""The profile of vLLM: from a request to components, layers and the capacity of the pool."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from math import ceil
from operator import attrgetter
from typing import Any, Final
from weakref import finalize

from hwledger.device.spec import DeviceSpec
from hwledger.model.kept import kept, mixers_of
from hwledger.model.mixers import Rwkv
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.versions import check_dotted
from hwledger.planner.engines.vllm.cache_types import cache_type
from hwledger.planner.engines.vllm.capacity import (
    Layout,
    blocks_by_group,
    capacity_of,
    lay_out,
)
from hwledger.planner.engines.vllm.grouping import Group
from hwledger.planner.engines.vllm.layouts import parallel_layouts
from hwledger.planner.engines.vllm.options import OPTIONS, Settings, batch_class, resolve
from hwledger.planner.engines.vllm.overhead import CONTEXT_BYTES, activation_bytes, graph_bytes
from hwledger.planner.engines.vllm.specs import Kind
from hwledger.planner.engines.vllm.versions import NEWEST, OLDEST
from hwledger.planner.engines.vllm.weights import Loaded, load
from hwledger.planner.memory import HOST, Basis, Capacity, Category, Component, EngineMemory, LayerMemory
from hwledger.planner.request import OptionValue, Request
from hwledger.units import GIB

SOURCE: Final = "vLLM 0.33.0"

_OF_LOAD: Final = frozenset({"tokens", "users", "batched_tokens", "seqs", "utilisation", "kv_type"})
_SHAPE: Final = attrgetter(*(field.name for field in fields(Settings) if field.name not in _OF_LOAD))
"""The settings that weights go by, and with the type of the cache its layout."""

_layouts: dict[int, dict[object, Layout]] = {}
_loads: dict[int, dict[object, Loaded]] = {}


class VllmProfile:
    """vLLM from 0.6 on; rules that changed are in ``data/rules.csv``."""

    name = "vllm"
    newest = NEWEST
    options = OPTIONS
    kv_types = ("fp8",)
    weight_types = ("fp8", "awq")

    def check_version(self, version: str) -> str:
        """Return the release number.

        Raises:
            UsageError: it is none, or older than 0.6.
        """
        return check_dotted(self.name, version, OLDEST)

    def cache_on_demand(self, request: Request) -> bool:
        """Return whether a request takes cache as it grows, and not a whole context from its start."""
        del request  # blocks of a pool
        return True

    def memory(self, request: Request) -> EngineMemory:
        """Return the memory that vLLM takes for the workload, and its pool where the device is known.

        Raises:
            UsageError: options contradict each other or the model.
            UnknownOptionError: the type of the cache or of the weights does not exist.
        """
        return _Planner(request).answer()

    def device_class(self, device: DeviceSpec) -> tuple[tuple[int, int], bool]:
        """Return a key: devices of one class get the same answer but for context and usable bytes."""
        return batch_class(device), device.vendor == "AMD"

    def layouts(self, spec: ModelSpec, count: int) -> Sequence[Mapping[str, OptionValue]]:
        """Return the options of every way in which ``count`` devices can share the model."""
        return tuple(parallel_layouts(spec, count))

    def usable_bytes(self, request: Request, usable: Any, context: Any) -> Any:
        """Return what the engine lets itself use of devices alike in class.

        Args:
            request: the plan's question, with one of the devices.
            usable: int64 array of usable bytes.
            context: int64 array of the context's bytes, of the same shape.
        """
        import numpy as np  # noqa: PLC0415 - a single plan needs no numpy

        settings = resolve(request)
        outside = 0 if settings.rules.graphs_in_budget else graph_bytes(request.spec, settings)
        share = np.minimum(1.0, settings.utilisation + (outside + context) / np.maximum(1, usable))
        return np.rint(usable * share).astype(np.int64)

    def grid(self, request: Request, contexts: Any, concurrencies: Any) -> Any:
        """Return cache bytes, an int64 array of shape (contexts, concurrencies, devices).

        Cache and state; each entry equals the plan made alone.
        """
        import numpy as np  # noqa: PLC0415 - a single plan needs no numpy

        settings = resolve(request)
        layout = _layout(request.spec, settings)
        tokens = np.asarray(contexts, dtype=np.int64)
        if "max_model_len" in request.options:
            tokens = np.full_like(tokens, settings.tokens)
        users = -(-np.asarray(concurrencies, dtype=np.int64) // settings.dp)
        blocks = sum(blocks_by_group(layout, tokens, settings), np.zeros_like(tokens))
        places = [layout.block_bytes[rank] for rank in _pipeline_ranks(settings)]
        places += [0] * (len(request.devices) - len(places))
        return blocks[:, None, None] * users[None, :, None] * np.array(places, dtype=np.int64)


def _pipeline_ranks(settings: Settings) -> list[int]:
    """The pipeline rank of each device: tensor ranks are neighbours, replicas come last."""
    return [rank for _ in range(settings.dp) for rank in range(settings.pp) for _ in range(settings.tp)]


def _cached(store: dict[int, dict[object, Any]], model: ModelSpec) -> dict[object, Any]:
    """Results of one model; a spec is not hashable, so it is known by its identity while it lives."""
    if id(model) not in store:
        store[id(model)] = {}
        finalize(model, store.pop, id(model), None)
    return store[id(model)]


def _layout(model: ModelSpec, settings: Settings) -> Layout:
    found, key = _cached(_layouts, model), (settings.kv_type, *_SHAPE(settings))
    if key not in found:
        found[key] = lay_out(model, settings)
    layout: Layout = found[key]
    return layout


def _load(model: ModelSpec, settings: Settings, packed: str | None) -> Loaded:
    found, key = _cached(_loads, model), (packed, *_SHAPE(settings))
    if key not in found:
        found[key] = load(model, settings, packed)
    loaded: Loaded = found[key]
    return loaded


class _Planner:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.spec = request.spec
        self.settings = resolve(request)
        self.layout = _layout(self.spec, self.settings)
        packed = request.weights or request.options.get("quantization")
        self.loaded = _load(self.spec, self.settings, str(packed) if packed else None)
        self.blocks = blocks_by_group(self.layout, self.settings.tokens, self.settings)
        self.activations = activation_bytes(self.spec, self.settings)
        self.graph = graph_bytes(self.spec, self.settings)
        self.state_blocks = sum(blocks for group, blocks in self._grouped() if group.spec.kind is Kind.STATE)
        self.offload = round(float(str(request.options.get("cpu_offload_gb") or 0)) * GIB)

    def _grouped(self) -> Iterable[tuple[Group, int]]:
        """The groups, each with the blocks that one request takes of it."""
        return zip(self.layout.groups, self.blocks, strict=True)

    def answer(self) -> EngineMemory:
        """Return everything."""
        settings = self.settings
        total = sum(self.blocks)
        ranks = _pipeline_ranks(settings)
        one = settings.tp * sum(self.layout.block_bytes)
        more = sum(blocks_by_group(self.layout, settings.tokens + self._step(), settings))
        step = max(1, self._step())
        return EngineMemory(
            components=tuple(c for place, rank in enumerate(ranks) for c in self._place(place, rank)),
            layers=self._layers(),
            context_tokens=settings.tokens, concurrency=settings.users,
            kv_type=self._kv_name(),
            options=self._resolved(),
            kv_cache_bytes_per_token=(more - total) * one // step,
            bytes_per_request=total * one,
            capacity=self._capacity(),
            usable_share=self._usable_share(),
            not_modelled=("fragmentation of the allocator", "buffers of NCCL", "weights of a separate draft"),
            warnings=self._warnings(),
        )  # fmt: skip

    def _step(self) -> int:
        """Tokens after which every group that grows has taken whole blocks."""
        blocks = [g.spec.block for g in self.layout.groups if g.spec.kind in {Kind.FULL, Kind.LATENT}]
        return max(blocks, default=0) * self.settings.dcp

    def _kv_name(self) -> str:
        row = cache_type(self.settings.kv_type)
        if self.settings.kv_type == "auto":
            return f"auto ({self.spec.number_type})"
        return row["name"] if row else self.settings.kv_type

    def _resolved(self) -> dict[str, object]:
        s = self.settings
        return {
            **self.request.options,
            "max_model_len": s.tokens, "max_num_seqs": s.seqs, "max_num_batched_tokens": s.batched_tokens,
            "tensor_parallel_size": s.tp, "pipeline_parallel_size": s.pp, "data_parallel_size": s.dp,
            "gpu_memory_utilization": s.utilisation, "kv_cache_dtype": s.kv_type,
            "block_size": self.layout.smallest_block, "mamba_cache_mode": s.mamba_mode,
        }  # fmt: skip

    def _layers(self) -> tuple[LayerMemory, ...]:
        s = self.settings
        key = ("vllm layers", id(self.layout), *self.blocks, s.tp, s.dp, s.users_per_replica)
        return kept(self.spec, key, self._made_layers)  # a layout lives as long as its model

    def _made_layers(self) -> tuple[LayerMemory, ...]:
        s, count = self.settings, len(self.spec.layers)
        kv, state = [0] * count, [0] * count
        for group, blocks in self._grouped():
            for cache in group.caches:
                if cache.layer < count:
                    target = state if cache.spec.kind is Kind.STATE else kv
                    target[cache.layer] += cache.spec.page * blocks * s.tp * s.dp * s.users_per_replica
        return tuple(LayerMemory(*pair) for pair in zip(kv, state, strict=True))

    def _place(self, place: int, rank: int) -> list[Component]:
        weights = self.loaded.by_rank[rank]
        moved = min(weights, self.offload)
        basis = Basis.CALIBRATED  # start-up logs lie within 2.3 % of the rules
        parts = [
            _part("weights", Category.WEIGHTS, weights - moved, basis, f"{SOURCE} loading", place, 0.03),
            *self._caches(place, rank),
            _part("compute", Category.COMPUTE, self.activations, Basis.ASSUMED,
                  f"estimate of {SOURCE} v1/worker/gpu_model_runner.py profile_run", place, 0.5),
            _part("graph", Category.GRAPH, self.graph, Basis.ASSUMED,
                  "0.3 to 2.3 GiB in public start-up logs", place, 0.7),
            self._runtime(place),
        ]  # fmt: skip
        if moved:
            parts.append(_part("weights", Category.WEIGHTS, moved, basis, "cpu_offload_gb", HOST, 0.03))
        swap = round(float(str(self.request.options.get("swap_space") or 0)) * GIB)
        if swap:
            parts.append(_part("swap", Category.RUNTIME, swap, Basis.EXACT, "swap_space", HOST, 0))
        return parts

    def _caches(self, place: int, rank: int) -> list[Component]:
        users, page = self.settings.users_per_replica, self.layout.block_bytes[rank]
        state = self.state_blocks
        kv = sum(self.blocks) - state
        source = f"{SOURCE} v1/core/kv_cache_planning.py"
        return [
            _part("kv_cache", Category.KV_CACHE, kv * users * page, Basis.EXACT, source, place, 0),
            _part("state", Category.STATE, state * users * page, Basis.EXACT, source, place, 0),
        ]

    def _context(self, place: int) -> int:
        devices = self.request.devices
        return devices[place].context_bytes if place < len(devices) else CONTEXT_BYTES

    def _runtime(self, place: int) -> Component:
        devices = self.request.devices
        source = devices[place].source if place < len(devices) else "CUDA context: 400 MiB assumed"
        return _part("runtime", Category.RUNTIME, self._context(place), Basis.ASSUMED, source or "assumed",
                     place, 0.5)  # fmt: skip

    def _capacity(self) -> Capacity | None:
        given = self.request.options
        override = int(str(given.get("num_gpu_blocks_override") or 0))
        pools = self._pools()
        return capacity_of(self.layout, self.settings, pools, override) if pools else None

    def _pools(self) -> list[int]:
        """Bytes for the cache on each pipeline rank (vLLM 0.33.0 ``determine_available_memory``)."""
        s, fixed = self.settings, self.request.options.get("kv_cache_memory_bytes")
        if fixed is not None:
            return [int(str(fixed))] * s.pp
        if not self.request.devices:
            return []
        peak = self.activations
        peak += self.graph if s.rules.graphs_in_budget else 0
        pools = [0] * s.pp
        for device, rank in zip(self.request.devices, _pipeline_ranks(s), strict=False):
            loaded = self.loaded.by_rank[rank]
            pool = ceil(device.usable_bytes * s.utilisation) - (loaded - min(loaded, self.offload)) - peak
            pools[rank] = min(pools[rank], pool) if pools[rank] else pool
        return pools

    def _usable_share(self) -> float:
        """The engine's budget, and what it keeps outside it: the context, and graphs in old versions."""
        s, devices = self.settings, self.request.devices
        outside = 0 if s.rules.graphs_in_budget else self.graph
        shares = [(outside + d.context_bytes) / d.usable_bytes for d in devices if d.usable_bytes]
        return min(1.0, s.utilisation + min(shares, default=0.0))

    def _warnings(self) -> tuple[str, ...]:
        found = []
        if any(isinstance(m, Rwkv) for m in mixers_of(self.spec)):
            found.append("vLLM does not run RWKV; the figures are what its rules would give")
        if uneven := self._uneven_heads():
            found.append(
                f"vLLM refuses tensor_parallel_size={self.settings.tp}: {uneven} heads cannot be shared out"
                " evenly; the figures are what its rules would give"
            )
        if self.settings.tp > 1 and "tensor_parallel_size" not in self.request.options:
            found.append(f"tensor_parallel_size={self.settings.tp} is assumed, one rank per device")
        return tuple(found)

    def _uneven_heads(self) -> int:
        """Query heads that do not divide among the ranks, 0 where all do.

        Source: vLLM 0.33.0 ``config/model.py`` ``verify_with_parallel_config``.
        """
        heads = (getattr(mixer, "query_heads", 0) for mixer in mixers_of(self.spec))
        return next((count for count in heads if count % self.settings.tp), 0)


def _part(  # noqa: PLR0913, PLR0917 - one place builds components
    name: str, category: Category, size: int, basis: Basis, source: str, place: int, spread: float
) -> Component:
    width = 0.0 if basis is Basis.EXACT else spread
    return Component(
        name=name, category=category, size_bytes=size, basis=basis, source=source, place=place,
        low_bytes=round(size * (1 - width)), high_bytes=round(size * (1 + 2 * width)),
    )  # fmt: skip


profile = VllmProfile()
