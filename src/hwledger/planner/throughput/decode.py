"""One decoding step on one device: bytes over bandwidth, and launches.

``t = weights / (e BW) + cache / (k BW) + layers c [+ experts / (e x BW) + MoE layers m + state layers s]``.
Stacked memory (HBM) is not filled by the small kernels of a single stream, which its own constants say.
"""

from math import log2

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
    effects_of,
    is_hbm,
    on,
    present,
)
from hwledger.planner.throughput.work import Work


def decode_terms(  # noqa: PLR0913 - what a step depends on
    work: Work,
    silicon: Silicon,
    setting: Setting,
    *,
    depth: float,
    cache_bytes: tuple[float, float] = (2.0, 2.0),
    batch: float = 1.0,
    tokens: float = 1.0,
    share: Share = WHOLE,
) -> tuple[Term, ...]:
    """Return the parts of the time of one step of ``batch`` requests with ``depth`` tokens in their caches.

    Args:
        work: what the model takes.
        silicon: the device.
        setting: how the engine runs.
        depth: tokens in the cache of each request.
        cache_bytes: bytes of one cached element of a key and of a value.
        batch: requests in the step.
        tokens: tokens of each request in it; more than 1 where drafts are verified.
        share: the part of the model that is on this device.
    """
    bandwidth = silicon.bandwidth
    weights = weights_effects(silicon, setting)
    dense = work.layer_bytes * share.layers + work.head_bytes * share.head
    cache = (work.cache_bytes(depth, *cache_bytes) + work.state_traffic_bytes()) * share.cache
    layers = work.matrices / MATRICES_PER_LAYER * share.layers
    terms = [
        Term("weights", dense / bandwidth, weights),
        Term("cache", batch * cache / bandwidth, cache_effects(work, silicon, setting)),
        Term("layers", layers * MICROSECOND, layer_effects(silicon, setting)),
    ]
    if work.experts:
        routed = work.expert_bytes(batch * tokens) * share.experts
        count = work.moe_layers * share.layers
        terms += [
            Term("experts", routed / bandwidth, (*weights, *effects_of("x", silicon, setting))),
            Term("routing", count * MICROSECOND, effects_of("m", silicon, setting)),
        ]
    if work.state_layers:
        count = work.state_layers * share.layers
        unfused = present(("s.unfused", work.delta_share * float(setting.unfused)))
        terms.append(Term("states", count * MICROSECOND, (*effects_of("s", silicon, setting), *unfused)))
    return tuple(terms)


def weights_effects(silicon: Silicon, setting: Setting) -> Effects:
    """Return what scales the reading of weights: 1 over the share of the peak that is reached."""
    where = on(silicon, setting)
    return present(
        ("e", 1.0),
        ("e.hbm", is_hbm(silicon)),
        (f"e.kind:{silicon.kind}", 1.0),
        (f"e.family:{silicon.family}", 1.0),
        (f"e.on:{where}", 1.0),
        (f"e.tier:{silicon.tier}", 1.0 if silicon.tier else 0.0),
        (f"e.group:{setting.group}", 1.0),
        (f"e.type:{setting.weights}", 1.0),
        (f"e.type_on:{setting.weights} {where}", 1.0),
        (f"e.early:{silicon.vendor}", float(setting.early)),
        (f"e.wrapped:{silicon.vendor}", float(setting.wrapped)),
        (f"e.driver:{setting.driver}", float(bool(setting.driver))),
    )


def layer_effects(silicon: Silicon, setting: Setting) -> Effects:
    """Return what scales the time of a layer that is not reading: launches, small kernels, hand-overs."""
    return present(
        ("c", 1.0),
        ("c.hbm", is_hbm(silicon)),
        (f"c.kind:{silicon.kind}", 1.0),
        (f"c.family:{silicon.family}", 1.0),
        (f"c.on:{on(silicon, setting)}", 1.0),
        (f"c.tier:{silicon.tier}", 1.0 if silicon.tier else 0.0),
        (f"c.early:{silicon.vendor}", float(setting.early)),
        (f"c.wrapped:{silicon.vendor}", float(setting.wrapped)),
    )


def cache_effects(work: Work, silicon: Silicon, setting: Setting) -> Effects:
    """Return what scales the reading of the cache; heads that share a row keep it from being the limit."""
    plain = 0.0 if setting.flash else 1.0
    where, sharing = on(silicon, setting), work.sharing
    return present(
        ("k", 1.0),
        (f"k.on:{where}", 1.0),
        ("k.sharing", sharing),
        (f"k.sharing_on:{where}", sharing),
        (f"k.wide_on:{where}", log2(max(1.0, work.head_width / USUAL_WIDTH))),
        (f"k.driver:{setting.driver}", float(bool(setting.driver))),
        ("k.plain", plain),
        (f"k.plain_on:{where}", plain),
        ("k.plain_sharing", plain * sharing),
    )
