"""What vLLM takes beside weights and cache: activations of a batch, CUDA graphs, the context."""

from typing import Final

from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.activations import hidden_units
from hwledger.planner.engines.vllm.options import Settings
from hwledger.units import MIB, cdiv

CONTEXT_BYTES: Final = 400 * MIB
GRAPH_BYTES_PER_LAYER: Final = 16 * MIB
LOGIT_BYTES: Final = 10
"""A logit in 16 bits and the sampler's two copies in 32 bits."""


def activation_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return the peak of one rank's profiling batch: a layer's activations and the sampler's logits.

    Assumed, after vLLM 0.33.0 ``v1/worker/gpu_model_runner.py`` ``profile_run``: a full batch of
    ``max_num_batched_tokens``, and one row of logits for each of ``max_num_seqs``.
    """
    inner = hidden_units(model) - 3 * model.hidden_size
    units = 3 * model.hidden_size + cdiv(inner, settings.tp)
    rows = min(settings.seqs, settings.batched_tokens)
    return settings.batched_tokens * units * settings.item_bytes + rows * model.vocab_size * LOGIT_BYTES


def graph_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return what CUDA graphs keep on one rank; calibrated on public logs (0.3 to 2.3 GiB)."""
    return 0 if settings.eager else cdiv(len(model.layers), settings.pp) * GRAPH_BYTES_PER_LAYER
