"""vLLM: ``/version``, ``/v1/models``, the cache in ``/metrics``, and ``/server_info`` where it is on."""

import re
from collections.abc import Mapping
from typing import Any, Final

from hwledger.library.deployment import Deployment
from hwledger.library.serving.metrics import labels_of
from hwledger.library.serving.reference import best_reference
from hwledger.library.serving.replies import (
    Server,
    base_card,
    object_of,
    objects_of,
    owners,
    text_of,
    told_nothing,
    whole_of,
)
from hwledger.library.serving.settings import Settings
from hwledger.planner.engines.versions import dotted
from hwledger.planner.engines.vllm.versions import OLDEST

NAME: Final = "vLLM"
_METRIC: Final = "vllm:cache_config_info"
_RELEASE: Final = re.compile(r"v?(\d{1,6}\.\d{1,6}(?:\.\d{1,6})?)")
_CACHE: Final = {
    "gpu_memory_utilization": "gpu_memory_utilization", "enable_prefix_caching": "enable_prefix_caching",
    "cache_dtype": "kv_cache_dtype", "kv_cache_memory_bytes": "kv_cache_memory_bytes",
    "num_gpu_blocks_override": "num_gpu_blocks_override", "mamba_cache_dtype": "mamba_cache_dtype",
    "mamba_ssm_cache_dtype": "mamba_ssm_cache_dtype", "mamba_cache_mode": "mamba_cache_mode",
    "cpu_offload_gb": "cpu_offload_gb",
}  # fmt: skip
_CONFIG: Final = {
    "model_config": ("max_model_len", "dtype", "enforce_eager"),
    "parallel_config": (
        "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
        "decode_context_parallel_size", "enable_expert_parallel",
    ),
    "scheduler_config": (
        "max_num_seqs", "max_num_batched_tokens", "async_scheduling", "disable_hybrid_kv_cache_manager",
    ),
}  # fmt: skip
_IN_TEXT: Final = re.compile(
    r"\b(tensor_parallel_size|pipeline_parallel_size|data_parallel_size|enforce_eager)=(\w{1,12})"
)


def is_vllm(server: Server) -> bool:
    """Whether the models that the server lists are owned by vLLM."""
    return "vllm" in owners(server)


def is_vllm_by_metrics(server: Server) -> bool:
    """Whether the server counts under vLLM's names, whatever it calls its models (images of vendors)."""
    return "\nvllm:" in f"\n{server.text('/metrics')}" and bool(objects_of(server.json("/v1/models"), "data"))


def read(server: Server) -> Deployment:
    """Return what a vLLM server runs.

    Raises:
        AmbiguousError, MissingError: as ``base_card``.
        MalformedError: it does not say which model.
    """
    cards = objects_of(server.json("/v1/models"), "data")
    card = base_card(server)
    found = best_reference(text_of(card, "root"), text_of(card, "id"))
    if found is None:
        raise told_nothing(NAME, server)
    settings = Settings("vllm")
    model, note = found
    settings.note(note)
    settings.take("max_model_len", whole_of(card, "max_model_len"))
    _enter_adapters(settings, cards)
    _enter_cache(settings, labels_of(server.text("/metrics"), _METRIC))
    _enter_config(settings, server.json("/server_info?config_format=json"))
    version = text_of(server.json("/version"), "version")
    return Deployment(
        model=model, program=f"{NAME} {version}" if version else NAME, engine="vllm",
        engine_version=_release(settings, version), options=settings.options, notes=tuple(settings.notes),
    )  # fmt: skip


def _release(settings: Settings, version: str | None) -> str | None:
    """Return the release without its decoration; builds without a tag call themselves 0.1."""
    found = _RELEASE.match(version or "")
    if found is None or (dotted(found[1]) or ()) >= (dotted(OLDEST) or ()):
        return found[1] if found else None
    settings.note(f"vLLM {version} has no rules of its own here: it is planned by the newest")
    return None


def _enter_adapters(settings: Settings, cards: list[dict[str, Any]]) -> None:
    names = [text_of(card, "id") for card in cards if text_of(card, "parent")]
    if names:
        shown = ", ".join(name for name in names[:5] if name)
        settings.note(
            f"{len(names)} LoRA adapters are loaded beside the model ({shown}): their weights are not planned"
        )


def _enter_cache(settings: Settings, samples: list[dict[str, str]]) -> None:
    if not samples:
        settings.note("the server shows no settings of its cache (/metrics): those are vLLM's defaults here")
        return
    labels = samples[0]
    for label, option in _CACHE.items():
        settings.take(option, _switched(labels.get(label)))
    if labels.get("user_specified_block_size") != "False":  # else: the smallest of its groups, set by nobody
        settings.take("block_size", labels.get("block_size"))
    ranks = len({sample.get("engine", "") for sample in samples})
    if ranks > 1:
        settings.take("data_parallel_size", ranks)
    _note_capacity(settings, labels)


def _switched(value: str | None) -> str | None:
    return {"True": "on", "False": "off", "0": None, "0.0": None}.get(value, value) if value else None


def _note_capacity(settings: Settings, labels: Mapping[str, str]) -> None:
    tokens, blocks, size = (
        whole_of(labels, name) for name in ("kv_cache_size_tokens", "num_gpu_blocks", "block_size")
    )
    if tokens:
        settings.note(f"the server states a KV cache of {tokens:,} tokens")
    elif blocks and size:
        settings.note(f"the server states a KV cache of {blocks:,} blocks of {size:,} tokens")


def _enter_config(settings: Settings, info: Mapping[str, Any]) -> None:
    """Enter the engine's whole configuration, which it shows in its development mode alone."""
    config = object_of(info, "vllm_config")
    for group, names in _CONFIG.items():
        for name in names:
            settings.take(name, object_of(config, group).get(name))
    settings.quantised(text_of(object_of(config, "model_config"), "quantization"))
    written = info.get("vllm_config")
    if isinstance(written, str):
        for name, value in _IN_TEXT.findall(written[:100_000]):
            settings.take(name, _switched(value))
    if "tensor_parallel_size" not in settings.options:
        settings.note(
            "vLLM does not say over how many devices it spreads the model (only with VLLM_SERVER_DEV_MODE=1):"
            " give --option tensor_parallel_size=N or --device"
        )
