"""A prompt on one device, or on one of several that share the layers.

``t = matrix operations / (p F) + attention [+ expert operations / (p y F)]
+ states / (w F) + rounds (bytes / (r BW) + layers l)``; several devices add what they hand over / (j lane).
F is the rate of the general cores (fp32): over all cards that were measured, quantised kernels reach a
multiple of it that varies less than their share of the int8 or fp16 rate on the sheet. Watts per FLOP/s
matter: cards of one chip differ by their power limit. Without flash attention the scores pass through memory.
"""

from math import ceil, log2
from typing import Final

from hwledger.planner.throughput.setting import Setting
from hwledger.planner.throughput.silicon import Silicon
from hwledger.planner.throughput.terms import (
    MATRICES_PER_LAYER,
    MICROSECOND,
    USUAL_WIDTH,
    WHOLE,
    Effects,
    Share,
    Term,
    is_hbm,
    on,
    present,
)
from hwledger.planner.throughput.work import STATE_FLOPS, Work

ROWS_PER_EXPERT: Final = 32.0
TILE_ROWS: Final = 64.0
"""An expert with fewer tokens does not fill a tile of the kernels (64 to 128 rows in llama.cpp's mmq.cuh)."""
USUAL_SIZE: Final = 4096
PIPELINED: Final = frozenset({"CUDA"})
"""Backends on which devices that share the layers work at once. On two Radeon AI PRO R9700 neither ROCm nor
Vulkan prefills 2048 tokens faster than on one (llama.cpp b7423, kyuz0/amd-r9700-ai-toolboxes)."""
CACHED_DEPTH: Final = 8192.0
ACTIVATION_BYTES: Final = 4.0
"""What stages hand over is fp32 (llama.cpp b11434 ``src/llama-graph.cpp``)."""
SCORE_BYTES: Final = 16.0
"""One score in fp32: written, read and written by the softmax, read again for the values."""


def prefill_terms(  # noqa: PLR0913 - what a prompt depends on
    work: Work,
    silicon: Silicon,
    setting: Setting,
    *,
    tokens: float,
    depth: float = 0.0,
    stages: int = 1,
    share: Share = WHOLE,
) -> tuple[Term, ...] | None:
    """Return the parts of the time of a prompt, or ``None`` where the device's rate is not known.

    Args:
        work: what the model takes.
        silicon: the device.
        setting: how the engine runs.
        tokens: tokens of the prompt.
        depth: tokens in the cache before it.
        stages: devices that share the layers and hand activations over; the time is that of their turns one
            after another (``pipeline.py`` says how far they overlap).
        share: the part of the model that is on this device.
    """
    rate = silicon.multiplying
    if rate is None:
        return None
    rounds, micro = ceil(max(1.0, tokens) / setting.micro_batch), min(tokens, setting.micro_batch)
    effects = matrix_effects(work, silicon, setting)
    pipe = present(("q", float(piped(setting, stages))))
    dense = 2.0 * tokens * work.layer_parameters * share.layers
    terms = [
        Term("matrices", dense / rate, (*effects, *pipe)),
        _attention(work, silicon, setting, rate, (tokens, depth), share.cache, pipe),
        *_rounds(work, silicon, setting, micro, rounds, share, pipe),
    ]
    if work.experts:
        flops = 2.0 * tokens * (work.active_parameters - work.layer_parameters) * share.experts
        routed = _expert_effects(work, silicon, setting, micro)
        terms.append(Term("expert matrices", flops / rate, (*effects, *routed, *pipe)))
    if work.state_elements:
        updates = tokens * STATE_FLOPS * work.state_elements * share.layers
        terms.append(Term("states", updates / rate, (*_state_effects(work, silicon, setting), *pipe)))
    if stages > 1:
        carried = tokens * work.hidden_size * ACTIVATION_BYTES * (stages - 1) * share.layers
        terms.append(Term("hops", carried / silicon.lane, (("j", 1.0), *pipe)))
    return tuple(terms)


def piped(setting: Setting, stages: int) -> bool:
    """Whether several devices work on a prompt at once."""
    return stages > 1 and setting.backend in PIPELINED


def matrix_effects(work: Work, silicon: Silicon, setting: Setting) -> Effects:
    """Return what scales the multiplication of a prompt by the weights; wide models fill more of a chip."""
    where = on(silicon, setting)
    return present(
        ("p", 1.0),
        (f"p.hbm:{setting.group}", is_hbm(silicon)),
        (f"p.kind:{silicon.kind}", 1.0),
        (f"p.family:{silicon.family}", 1.0),
        (f"p.family_on:{silicon.family} {setting.backend}", 1.0),
        (f"p.on:{where}", 1.0),
        ("p.width", is_hbm(silicon) * log2(work.hidden_size / USUAL_SIZE)),
        ("p.power", silicon.power),
        (f"p.power_of:{silicon.vendor}", silicon.power),
        (f"p.scalar:{silicon.vendor}", float(silicon.scalar)),
        (f"p.group:{setting.group}", 1.0),
        (f"p.group_on:{setting.group} {where}", 1.0),
        (f"p.type_on:{setting.weights} {where}", 1.0),
        (f"p.untuned:{setting.group}", float(setting.untuned)),
        (f"p.driver:{setting.driver}", float(bool(setting.driver))),
        (f"p.early:{setting.group} {silicon.vendor}", float(setting.early)),
    )


def _expert_effects(work: Work, silicon: Silicon, setting: Setting, tokens: float) -> Effects:
    rows = max(1.0, tokens) * work.experts[0].active / work.experts[0].experts
    return (
        ("y", 1.0),
        (f"y.on:{on(silicon, setting)}", 1.0),
        ("y.rows", log2(min(rows, TILE_ROWS) / ROWS_PER_EXPERT)),
    )


def _state_effects(work: Work, silicon: Silicon, setting: Setting) -> Effects:
    """Return what scales the update of recurrent states, which goes token by token and waits for memory."""
    return present(
        ("w", 1.0),
        (f"w.on:{on(silicon, setting)}", 1.0),
        ("w.unfused", work.delta_share * float(setting.unfused)),
    )


def attention_effects(work: Work, silicon: Silicon, setting: Setting, depth: float) -> Effects:
    """Return what scales flash attention.

    From ``CACHED_DEPTH`` on keys come from memory, not from a cache. A score costs an exponential whatever
    the width of the head, so narrow heads reach less of the peak (FlashAttention-3, arXiv 2407.08608).
    """
    where, beyond = on(silicon, setting), log2(max(1.0, depth / CACHED_DEPTH))
    width = (work.head_width or USUAL_WIDTH) / USUAL_WIDTH
    return present(
        ("a", 1.0),
        (f"a.on:{where}", 1.0),
        (f"a.family:{silicon.family}", 1.0),
        ("a.narrow", log2(max(1.0, 1 / width))),
        ("a.wide", log2(max(1.0, width))),
        (f"a.driver:{setting.driver}", float(bool(setting.driver))),
        ("a.depth", beyond),
        (f"a.depth_on:{where}", beyond),
    )


def _attention(  # noqa: PLR0913, PLR0917 - one place builds the term
    work: Work,
    silicon: Silicon,
    setting: Setting,
    rate: float,
    prompt: tuple[float, float],
    factor: float,
    pipe: Effects,
) -> Term:
    """Flash attention is operations; without it the scores pass through memory, and that is what it costs."""
    where = on(silicon, setting)
    if setting.flash:
        size = factor * work.prefill_attention_flops(*prompt) / rate
        return Term(
            "attention",
            size,
            (*attention_effects(work, silicon, setting, sum(prompt)), *pipe),
        )
    size = factor * work.prefill_scores(*prompt) * SCORE_BYTES / silicon.bandwidth
    return Term("scores", size, (("z", 1.0), (f"z.on:{where}", 1.0), *pipe))


def _rounds(  # noqa: PLR0913, PLR0917 - one place builds the terms
    work: Work,
    silicon: Silicon,
    setting: Setting,
    tokens: float,
    rounds: float,
    share: Share,
    pipe: Effects,
) -> list[Term]:
    """What every micro-batch costs whatever its length: weights that are read, kernels that are launched."""
    where = on(silicon, setting)
    touched = work.layer_bytes * share.layers + work.expert_bytes(tokens) * share.experts
    layers = work.matrices / MATRICES_PER_LAYER * share.layers
    return [
        Term("reading", rounds * touched / silicon.bandwidth, (("r", 1.0), (f"r.on:{where}", 1.0), *pipe)),
        Term("launches", rounds * layers * MICROSECOND, (("l", 1.0), (f"l.on:{where}", 1.0), *pipe)),
    ]
