"""SGLang: ``/server_info`` (earlier ``/get_server_info``) holds its arguments, resolved."""

from collections.abc import Mapping
from typing import Any, Final

from hwledger.library.deployment import Deployment
from hwledger.library.serving.reference import model_reference, revision_of
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

NAME: Final = "SGLang"
_SAME: Final = {
    "tp_size": "tensor_parallel_size", "pp_size": "pipeline_parallel_size",
    "dcp_size": "decode_context_parallel_size", "context_length": "max_model_len",
    "mem_fraction_static": "gpu_memory_utilization", "kv_cache_dtype": "kv_cache_dtype",
    "max_running_requests": "max_num_seqs", "dtype": "dtype", "mamba_ssm_dtype": "mamba_ssm_cache_dtype",
}  # fmt: skip
"""As the table of SGLang's flags in ``commands/data/sglang.csv`` has them."""
_SWITCHES: Final = {
    "disable_radix_cache": ("enable_prefix_caching", "off"),
    "disable_cuda_graph": ("enforce_eager", "on"),
    "disable_overlap_schedule": ("async_scheduling", "off"),
}


def is_sglang(server: Server) -> bool:
    """Whether the models that the server lists are owned by SGLang."""
    return "sglang" in owners(server)


def is_sglang_by_info(server: Server) -> bool:
    """Whether the server describes its model the way that SGLang alone does."""
    return "is_generation" in _model_info(server) and bool(text_of(_model_info(server), "model_path"))


def read(server: Server) -> Deployment:
    """Return what an SGLang server runs.

    Raises:
        MalformedError: it does not say which model.
    """
    info = _server_info(server)
    stated = text_of(info, "model_path") or text_of(_model_info(server), "model_path") or _listed(server)
    if not stated:
        raise told_nothing(NAME, server)
    settings = Settings("vllm")
    model, note = model_reference(stated)
    settings.note(note)
    settings.note("SGLang has no profile of its own yet: it is planned by the rules of vLLM")
    _enter(settings, info)
    if "max_model_len" not in settings.options:
        settings.take("max_model_len", whole_of(base_card(server), "max_model_len"))
    version = text_of(info, "version")
    return Deployment(
        model=model, program=f"{NAME} {version}" if version else NAME, engine="vllm",
        revision=revision_of(model, text_of(info, "revision")), options=settings.options,
        notes=tuple(settings.notes),
    )  # fmt: skip


def _server_info(server: Server) -> dict[str, Any]:
    info = server.json("/server_info") or server.json("/get_server_info")
    return {**info, **object_of(info, "server_args")}


def _model_info(server: Server) -> dict[str, Any]:
    return server.json("/get_model_info") or server.json("/model_info")


def _listed(server: Server) -> str | None:
    return text_of(base_card(server), "root") or text_of(base_card(server), "id")


def _enter(settings: Settings, info: Mapping[str, Any]) -> None:
    if not info:
        settings.note("the server shows none of its arguments (/server_info): those are vLLM's defaults here")
    for name, option in _SAME.items():
        settings.take(option, info.get(name))
    for name, (option, value) in _SWITCHES.items():
        if info.get(name) is True:
            settings.take(option, value)
    settings.take("max_num_batched_tokens", whole_of(info, "chunked_prefill_size"))
    settings.take("num_speculative_tokens", whole_of(info, "speculative_num_draft_tokens"))
    settings.take("cpu_offload_gb", whole_of(info, "cpu_offload_gb"))
    if (whole_of(info, "ep_size") or 1) > 1:
        settings.take("enable_expert_parallel", "on")
    settings.quantised(text_of(info, "quantization"))
    _enter_replicas(settings, info)
    _note(settings, info)


def _enter_replicas(settings: Settings, info: Mapping[str, Any]) -> None:
    replicas = whole_of(info, "dp_size") or 1
    if replicas > 1 and info.get("enable_dp_attention") is True:
        settings.note(
            f"attention runs {replicas} times within the tensor-parallel ranks: that is not planned"
        )
    elif replicas > 1:
        settings.take("data_parallel_size", replicas)


def _note(settings: Settings, info: Mapping[str, Any]) -> None:
    if "gpu_memory_utilization" in settings.options:
        settings.note(
            "mem_fraction_static holds weights and caches in SGLang; planned as gpu_memory_utilization"
        )
    states = objects_of(info, "internal_states")
    tokens = whole_of(info, "max_total_num_tokens") or whole_of(
        states[0] if states else {}, "max_total_num_tokens"
    )
    if tokens:
        settings.note(f"the server states a KV cache of {tokens:,} tokens")
