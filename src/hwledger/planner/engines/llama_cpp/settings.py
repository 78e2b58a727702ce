"""From a request to the settings that llama.cpp runs with: options first, the workload otherwise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    FullAttention,
    LatentAttention,
    Mixer,
    SlidingAttention,
)
from hwledger.model.number_types import NumberType, number_type
from hwledger.planner.engines.llama_cpp.context import ResolvedContext, Wanted, resolve
from hwledger.planner.engines.llama_cpp.dialect import Dialect
from hwledger.planner.engines.llama_cpp.options import KV_TYPES
from hwledger.planner.request import Request

OLDEST: Final = 4000
NEWEST: Final = 11549
LAST_MTP_CACHED: Final = 10229
"""Newest build seen to load and cache MTP blocks with the model; b11063 does neither."""

_BUILD = re.compile(r"b?(\d{4,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What llama.cpp runs with.

    Attributes:
        build: build number.
        context: the context as allocated.
        gpu_layers: layers on accelerators; ``None``: all of them.
        cpu_moe: first layers whose experts stay in host memory; ``None``: all layers'.
        split: shares of the devices; empty: by free memory.
        main: the one device that is used; ``None``: all of them.
        op_offload: large batches copy host weights to the accelerator.
        mtp: MTP blocks are loaded.
        mtp_cached: MTP blocks have a cache in the main context.
        context_tokens, concurrency: the workload as it comes out.
        warnings: what was changed on the way.
    """

    build: int
    context: ResolvedContext
    gpu_layers: int | None
    cpu_moe: int | None
    split: tuple[float, ...]
    main: int | None
    op_offload: bool
    mtp: bool
    mtp_cached: bool
    context_tokens: int
    concurrency: int
    warnings: tuple[str, ...]


def build_number(version: str) -> int:
    """Return the number of ``b11549`` or ``11549``.

    Raises:
        UsageError: the text is no build, or the build is older than the rules reach.
    """
    match = _BUILD.fullmatch(version.strip())
    if match is None:
        raise UsageError(f"{version!r} is no build of llama.cpp; write it like b{NEWEST}")
    build = int(match[1])
    if build < OLDEST:
        raise UsageError(f"llama.cpp b{build} is older than the rules reach; take b{OLDEST} or later")
    return build


def settle(request: Request, dialect: Dialect) -> Settings:
    """Return the settings of a request.

    Raises:
        UsageError: options contradict each other or the model.
    """
    given = _Given(request.options)
    build = build_number(request.version)
    warnings: list[str] = []
    if build > NEWEST:
        warnings.append(f"llama.cpp b{build} is newer than b{NEWEST}, the newest build that was checked")
    sequences = given.number("n_parallel", request.workload.concurrency)
    context = resolve(_wanted(request, given, dialect, sequences, warnings), build)
    _check_blocks(request, context)
    stated, tokens = given.number("n_ctx", 0), request.workload.context_tokens
    if stated or "n_ctx" in request.options:
        tokens = context.n_ctx_seq
    # converters of the time left most models' MTP blocks out, so only a GGUF file proves that there are any
    held = build <= LAST_MTP_CACHED and request.spec.format == "gguf"
    loads_mtp = given.flag("load_mtp", default=held)
    return Settings(
        build=build,
        context=context,
        gpu_layers=_layers(given),
        cpu_moe=None if given.flag("cpu_moe", default=False) else max(0, given.number("n_cpu_moe", 0)),
        split=_split(request),
        main=_main(request, given),
        op_offload=given.flag("op_offload", default=True),
        mtp=loads_mtp,
        mtp_cached=held,
        context_tokens=tokens,
        concurrency=sequences,
        warnings=tuple(warnings),
    )


class _Given:
    """Typed look-ups in the options that were set."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self.options = options

    def number(self, name: str, default: int) -> int:
        value = self.options.get(name)
        return value if isinstance(value, int) else default

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.options.get(name)
        return value if isinstance(value, bool) else default

    def word(self, name: str, default: str) -> str:
        value = self.options.get(name)
        return value if isinstance(value, str) else default


def _wanted(request: Request, given: _Given, dialect: Dialect, sequences: int, warnings: list[str]) -> Wanted:
    trained = request.spec.context_length or request.workload.context_tokens
    n_ctx = given.number("n_ctx", request.workload.context_tokens * sequences) or trained
    rollback = given.number("n_rs_seq", 0)
    if rollback and not dialect.rollback:
        warnings.append(
            f"llama.cpp keeps no roll-back states for {request.spec.architecture}: n_rs_seq is ignored"
        )
        rollback = 0
    flash = given.word("flash_attn", "auto") != "off"
    if flash and not dialect.flash:
        warnings.append(f"llama.cpp switches flash attention off for {request.spec.architecture}")
        flash = False
    if min(n_ctx, rollback, given.number("n_outputs_max", 0)) < 0:
        raise UsageError(
            "n_ctx, n_rs_seq and n_outputs_max cannot be negative; leave them out for the defaults"
        )
    return Wanted(
        n_ctx=n_ctx, type_k=_type(request, given, "cache_type_k"),
        type_v=_type(request, given, "cache_type_v"),
        n_batch=given.number("n_batch", 2048), n_ubatch=given.number("n_ubatch", 512), n_seq_max=sequences,
        kv_unified=given.flag("kv_unified", default=False), flash_attn=flash,
        swa_full=given.flag("swa_full", default=False),
        n_outputs_max=given.number("n_outputs_max", sequences), n_rs_seq=rollback,
        offload_kqv=not given.flag("no_kv_offload", default=False),
    )  # fmt: skip


def _type(request: Request, given: _Given, option: str) -> NumberType:
    """The option where set, else the type asked for in general, else f16."""
    name = given.word(option, request.kv_cache or "f16")
    try:
        kind = number_type(name)
    except UnknownOptionError:
        kind = None
    if kind is None or kind.name not in KV_TYPES:
        raise UnknownOptionError("llama.cpp KV cache type", name, KV_TYPES)
    return kind


def _check_blocks(request: Request, context: ResolvedContext) -> None:
    """With flash attention, quantised heads are whole blocks (llama.cpp b11434 ``llama_init_from_model``)."""
    if not context.flash_attn or context.type_k.block == context.type_v.block == 1:
        return
    for mixer in {mixer for layer in request.spec.layers for mixer in layer.mixers}:
        key, value = _head_widths(mixer)
        for name, width, kind in (("K", key, context.type_k), ("V", value, context.type_v)):
            if width % kind.block:
                raise UsageError(
                    f"llama.cpp cannot keep {name} as {kind.name}: a head of {width} elements is not whole "
                    f"blocks of {kind.block}; take f16"
                )


def _head_widths(mixer: Mixer) -> tuple[int, int]:
    """Width of one cached K head and V head; 0 where there is none."""
    match mixer:
        case LatentAttention(expanded=False):
            return mixer.elements_per_token, 0
        case LatentAttention():
            return mixer.expanded_key_width, mixer.value_width
        case FullAttention() | SlidingAttention() | ChunkedAttention():
            return mixer.key_width, mixer.value_width
        case CompressedAttention():
            return mixer.head_width, 0
        case _:
            return 0, 0


def _layers(given: _Given) -> int | None:
    layers = given.number("n_gpu_layers", -1)
    return None if layers < 0 else layers


def _split(request: Request) -> tuple[float, ...]:
    shares = request.options.get("tensor_split")
    if not isinstance(shares, tuple):
        return ()
    devices = max(1, len(request.devices))
    if len(shares) > devices:
        raise UsageError(
            f"tensor_split names {len(shares)} devices and {devices} are given; give one share each"
        )
    return (*shares, *(0.0,) * (devices - len(shares)))


def _main(request: Request, given: _Given) -> int | None:
    if given.word("split_mode", "layer") == "layer":
        return None
    main = given.number("main_gpu", 0)
    if not 0 <= main < max(1, len(request.devices)):
        raise UsageError(f"main_gpu is {main} and {len(request.devices)} devices are given; count from 0")
    return main
