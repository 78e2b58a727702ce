"""The use cases, and the one place where the rooms are wired together."""

from collections.abc import Mapping, Sequence

from hwledger.device.catalogue import parse_devices
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.plan import Plan
from hwledger.planner.plan import plan as plan_spec

__all__ = ["open_model", "plan"]


def plan(  # noqa: PLR0913 - the planner's public knobs
    ref: str | ModelSpec,
    *,
    engine: str | None = None,
    engine_version: str | None = None,
    context: int | None = None,
    concurrency: int = 1,
    weights: str | None = None,
    kv_cache: str | None = None,
    device: str | None = None,
    options: Mapping[str, object] | Sequence[str] = (),
) -> Plan:
    """Return the memory plan of a model on an engine.

    Args:
        ref: a path, a catalogue name, or a model that ``open_model`` returned.
        engine: ``vllm``, ``llama.cpp``, ``mlx`` or ``transformers``; by the model's format where ``None``.
        engine_version: version of the engine; its newest known one where ``None``.
        context: tokens of one request; 4096 or the model's limit where ``None``.
        concurrency: requests at once.
        weights: number type or quantisation to plan the weights in; as stored where ``None``.
        kv_cache: number type of the KV cache; the engine's default where ``None``.
        device: the accelerators as people write them: ``"RTX 4090"``, ``"2x H100 SXM"``.
        options: the engine's own options, ``{"max_num_batched_tokens": 8192}`` or ``["n_ctx=8192"]``;
            they win over ``context`` and ``concurrency``.

    Raises:
        UsageError: the request is wrong: an unknown engine, option, type or device, or a bad value.
        InputError: the model cannot be read.
    """
    spec = ref if isinstance(ref, ModelSpec) else open_model(ref)
    return plan_spec(
        spec, engine=engine, engine_version=engine_version, context=context, concurrency=concurrency,
        weights=weights, kv_cache=kv_cache, devices=parse_devices(device) if device else (), options=options,
    )  # fmt: skip
