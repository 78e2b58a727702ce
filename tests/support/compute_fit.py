"""The fit behind ``compute_intervals.csv``: ranges of measured over computed bytes, per regime."""

from collections.abc import Iterable
from itertools import product

from hwledger.planner.engines.llama_cpp.compute.accuracy import MeasuredContext
from hwledger.planner.engines.llama_cpp.compute.builds import styles_of
from hwledger.planner.engines.llama_cpp.compute.intervals import GraphKind, Range, Regime, regime_of
from hwledger.planner.engines.llama_cpp.compute.placement import device_bytes, host_bytes
from hwledger.planner.engines.llama_cpp.compute.rules import Place, Style

MARGINS = {
    GraphKind.DENSE: 0.01,
    GraphKind.EXPERTS: 0.03,
    GraphKind.LATENT: 0.06,
    GraphKind.HYBRID: 0.05,
    GraphKind.RECURRENT: 0.05,
    GraphKind.PER_LAYER_INPUT: 0.06,
}
WIDENINGS = (1.0, 1.5, 2.0, 2.5)
"""Margins grow by this with each step away from the regime itself."""

REACH = (
    "this regime",
    "with and without flash attention",
    "both builds, device and CPU",
    "both builds, device and CPU, any outputs",
)
"""What a pool at each step holds."""

SEEN = (Style.CLASSIC, Style.MIXED)
Ratios = dict[Regime, dict[str, list[float]]]


def ratios_of(cases: Iterable[MeasuredContext]) -> Ratios:
    """Return measured over computed bytes of contexts on one place, per regime and model."""
    found: Ratios = {}
    for case in cases:
        spread = case.placement
        if spread.devices > 1 or spread.overrides or spread.offload != "all":
            continue
        style = styles_of(case.build)[0]
        if spread.devices:
            computed, measured = device_bytes(case.shape, spread, style)[0], case.device_bytes[0]
        else:
            computed, measured = host_bytes(case.shape, spread, style), case.host_bytes or 0
        regime = regime_of(case.shape, style, spread.place)
        found.setdefault(regime, {}).setdefault(case.model, []).append(measured / computed)
    return found


def pools(regime: Regime) -> tuple[list[Regime], ...]:
    """Return the regime, then wider and wider groups around it."""
    kind, outputs, both = regime.kind, regime.outputs, (True, False)
    return (
        [regime],
        [Regime(regime.style, regime.place, flash, outputs, kind) for flash in both],
        [Regime(*one, outputs, kind) for one in product(SEEN, Place, both)],
        [Regime(*one, kind) for one in product(SEEN, Place, both, ("all", "few"))],
    )


def fit(ratios: Ratios, regime: Regime, without: str | None = None) -> Range:
    """Return the range of the narrowest pool with two models in it, widened by the kind's margin."""
    found: dict[str, list[float]] = {}
    step = 0
    for step, pool in enumerate(pools(regime)):  # noqa: B007
        found = {}
        for one in pool:
            for model, values in ratios.get(one, {}).items():
                if model != without:
                    found.setdefault(model, []).extend(values)
        if len(found) > 1:
            break
    values = [1.0, *(value for several in found.values() for value in several)]
    low, high = min(values), max(values)
    if regime.style is Style.EARLY:
        low, high = min(low, 0.9), max(high, 1.1)
    margin = MARGINS[regime.kind] * WIDENINGS[step]
    return Range(low * (1 - margin), high * (1 + margin), f"{len(found)} shapes, {REACH[step]}")
