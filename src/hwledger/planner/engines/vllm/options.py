"""The options of vLLM that shape memory, under its own names, and their resolution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.errors import UsageError
from hwledger.model.kept import mixers_of
from hwledger.model.mixers import ChunkedAttention
from hwledger.planner.engines.vllm.versions import Rules, rules_of
from hwledger.planner.options import Option, choice, flag, fraction, positive, size, word
from hwledger.planner.request import OptionValue, Request
from hwledger.units import GIB, cdiv

OPTIONS: Final[Mapping[str, Option]] = {
    "max_model_len": Option(positive, "tokens of one request", ("max_context",)),
    "max_num_seqs": Option(positive, "requests in one batch (256; 1024 from 70 GiB)"),
    "max_num_batched_tokens": Option(positive, "tokens in one batch (2048; 8192 from 70 GiB)"),
    "enable_prefix_caching": Option(flag, "keep finished prefixes (on)"),
    "tensor_parallel_size": Option(positive, "ranks that share every layer (1)", ("tp",)),
    "pipeline_parallel_size": Option(positive, "ranks that share out the layers (1)", ("pp",)),
    "data_parallel_size": Option(positive, "copies of the attention that share the requests (1)", ("dp",)),
    "decode_context_parallel_size": Option(positive, "ranks that share the tokens of a cache (1)", ("dcp",)),
    "enable_expert_parallel": Option(flag, "whole experts per rank (off)"),
    "gpu_memory_utilization": Option(fraction, "share of a device that the engine takes (0.92)"),
    "kv_cache_memory_bytes": Option(positive, "size of the KV pool of one rank, instead of profiling"),
    "kv_cache_dtype": Option(word, "type of the KV cache (auto)"),
    "block_size": Option(positive, "tokens of one cache block (16)"),
    "mamba_ssm_cache_dtype": Option(choice("auto", "float32", "float16", "bfloat16"), "type of the state"),
    "mamba_cache_dtype": Option(choice("auto", "float32", "float16", "bfloat16"), "type of the convolution"),
    "mamba_cache_mode": Option(choice("none", "align", "all"), "how states are cached"),
    "num_speculative_tokens": Option(size, "tokens that a draft proposes (0)"),
    "num_draft_layers": Option(size, "layers of a draft head that the model does not bring (EAGLE: 1)"),
    "disable_hybrid_kv_cache_manager": Option(flag, "one cache group for all layers (off)"),
    "enforce_eager": Option(flag, "no CUDA graphs (off)"),
    "dtype": Option(
        choice("auto", "bfloat16", "float16", "float32", "half", "float"), "type of activations"
    ),
    "quantization": Option(word, "type that the weights are packed in at loading"),
    "async_scheduling": Option(flag, "schedule one batch ahead (on)"),
    "cpu_offload_gb": Option(float, "GiB of weights per rank that stay in host memory (0)"),
    "num_gpu_blocks_override": Option(positive, "blocks of the pool, instead of profiling"),
    "swap_space": Option(float, "GiB of host memory per rank for swapped requests (V0)"),
}  # fmt: skip

_LARGE: Final = 70 * GIB
_LARGEST: Final = 160 * GIB
_BYTES: Final = {"float32": 4, "float": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every option as the engine resolves it; names are the engine's own, shortened."""

    rules: Rules
    tokens: int
    users: int
    tp: int
    pp: int
    dp: int
    dcp: int
    expert_parallel: bool
    seqs: int
    batched_tokens: int
    batches: int
    kv_type: str
    item_bytes: int
    block_size: int
    conv_bytes: int
    state_bytes: int | None
    mamba_mode: str
    speculative: int
    draft_layers: int
    hybrid: bool
    eager: bool
    utilisation: float
    amd: bool

    @property
    def in_flight(self) -> int:
        """Tokens that windows reserve for beside themselves."""
        return self.batched_tokens * (self.batches if self.rules.in_flight_batches else 1)

    @property
    def ranks(self) -> int:
        """Devices that are used."""
        return self.tp * self.pp * self.dp

    @property
    def users_per_replica(self) -> int:
        """Requests on the fullest of the data-parallel replicas."""
        return cdiv(self.users, self.dp)


def resolve(request: Request) -> Settings:
    """Return the settings that vLLM would run with.

    Raises:
        UsageError: parallel sizes contradict each other or the devices.
    """
    given, rules = request.options, rules_of(request.version)
    tp, pp, dp = _parallel(request)
    dcp = _whole(given.get("decode_context_parallel_size"), 1)
    if tp % dcp:
        raise UsageError(f"decode_context_parallel_size={dcp} does not divide tensor_parallel_size={tp}")
    asynchronous = given.get("async_scheduling") is not False
    item = _item_bytes(request)
    chunked = any(isinstance(m, ChunkedAttention) for m in mixers_of(request.spec))
    tokens, seqs = _batch_defaults(request)
    return Settings(
        rules=rules,
        tokens=_whole(given.get("max_model_len"), request.workload.context_tokens),
        users=request.workload.concurrency,
        tp=tp, pp=pp, dp=dp, dcp=dcp,
        expert_parallel=bool(given.get("enable_expert_parallel")),
        seqs=_whole(given.get("max_num_seqs"), seqs),
        batched_tokens=_whole(given.get("max_num_batched_tokens"), tokens),
        batches=pp + 1 if asynchronous else pp,
        kv_type=_kv_type(request),
        item_bytes=item,
        block_size=_whole(given.get("block_size"), 0),
        conv_bytes=_type_bytes(given.get("mamba_cache_dtype")) or item,
        state_bytes=_type_bytes(given.get("mamba_ssm_cache_dtype")),
        mamba_mode=_mamba_mode(given, rules),
        speculative=_whole(given.get("num_speculative_tokens"), 0),
        draft_layers=_whole(given.get("num_draft_layers"), 0),
        hybrid=rules.hybrid_manager and not chunked and not given.get("disable_hybrid_kv_cache_manager"),
        eager=bool(given.get("enforce_eager")),
        utilisation=float(str(given.get("gpu_memory_utilization") or rules.utilisation)),
        amd=any(device.vendor == "AMD" for device in request.devices),
    )  # fmt: skip


def _parallel(request: Request) -> tuple[int, int, int]:
    given, count = request.options, len(request.devices)
    pp = _whole(given.get("pipeline_parallel_size"), 1)
    dp = _whole(given.get("data_parallel_size"), 1)
    named = any(f"{kind}_parallel_size" in given for kind in ("tensor", "pipeline", "data"))
    tp = _whole(given.get("tensor_parallel_size"), 1 if named else max(1, count))
    if max(tp, pp, dp) > 1024 or tp * pp * dp > 4096:  # noqa: PLR2004 - more ranks than any deployment
        raise UsageError(f"{tp} x {pp} x {dp} ranks are more than vLLM runs on; give 4096 at most")
    if pp > max(1, len(request.spec.layers)):
        raise UsageError(f"pipeline_parallel_size={pp} exceeds the {len(request.spec.layers)} layers")
    if count and tp * pp * dp > count:
        raise UsageError(f"{tp * pp * dp} ranks need as many devices, and {count} are given")
    return tp, pp, dp


def _batch_defaults(request: Request) -> tuple[int, int]:
    """Tokens and requests of a batch (vLLM 0.33.0 ``engine/arg_utils.py`` ``get_batch_defaults``)."""
    if not request.devices:
        return 8192, 256
    return batch_class(min(request.devices, key=lambda d: d.usable_bytes))


def batch_class(device: DeviceSpec) -> tuple[int, int]:
    """Return the tokens and requests of a batch on one kind of device."""
    if device.usable_bytes >= _LARGEST:
        return 16384, 1024
    small = "a100" in device.name.lower() or "gb10" in device.name.lower()
    return (8192, 1024) if device.usable_bytes >= _LARGE and not small else (2048, 256)


def _kv_type(request: Request) -> str:
    name = str(request.kv_cache or request.options.get("kv_cache_dtype") or "auto").lower()
    quantisation = request.spec.quantisation
    if name == "auto" and quantisation and quantisation.kv_cache_type:
        name = quantisation.kv_cache_type.lower()
    return name


def _item_bytes(request: Request) -> int:
    return _BYTES.get(str(request.options.get("dtype")), 2)


def _type_bytes(value: OptionValue) -> int | None:
    return None if value is None or value == "auto" else _BYTES.get(str(value), 2)


def _mamba_mode(given: Mapping[str, OptionValue], rules: Rules) -> str:
    if "mamba_cache_mode" in given:
        return str(given["mamba_cache_mode"])
    caching = given.get("enable_prefix_caching", rules.mamba_align)
    return "align" if caching else "none"


def _whole(value: OptionValue, default: int) -> int:
    return default if value is None else int(str(value))
