"""Many candidates at once on engines that serve: loads at unit rates, divided by each device's own."""

from collections.abc import Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwledger.device.node import node_for
from hwledger.device.spec import DeviceSpec
from hwledger.planner.plan import Plan
from hwledger.planner.solve.blocks import Block
from hwledger.planner.solve.power import power_share
from hwledger.planner.throughput import Traffic, cached_element_bytes
from hwledger.planner.throughput.serving_case import case_of_plan, linked
from hwledger.planner.throughput.serving_constants import QUANTITIES, shipped_constants, tags_of
from hwledger.planner.throughput.serving_loads import (
    Loads,
    ServingCase,
    loads_of,
    rate_of,
    wire_of,
)
from hwledger.planner.throughput.serving_model import Multipliers, serve

Array = NDArray[np.float64]
UNIT: Final = 1e12
"""Bandwidth and rates of the device that loads are asked for; they are inversely proportional to them."""
BANDWIDTH_BOUND: Final = ("dense_seconds", "expert_seconds", "cache_seconds", "state_seconds")
CLASS_BOUND: Final = ("matrix_seconds", "prefill_matrix_seconds")
PLAIN_BOUND: Final = ("attention_seconds", "prefill_attention_seconds")
RATES: Final = dict.fromkeys(("bf16", "fp16", "fp32", "fp8", "fp4", "int8"), UNIT)
_LOAD_NAMES: Final = tuple(field.name for field in fields(Loads))
_LOADS: Final = attrgetter(*_LOAD_NAMES)
_CONSTANTS: Final = attrgetter(*QUANTITIES)


class Servers:
    """Fills the speeds of blocks; devices and constants are kept between them."""

    def __init__(self) -> None:
        self._chips: dict[tuple[object, ...], _Chips] = {}
        self._units: dict[tuple[object, ...], _Unit] = {}

    def fill(self, block: Block, plans: Sequence[Plan], traffic: Traffic, ttft: Array, tpot: Array) -> None:
        """Write TTFT and TPOT of a block, shape (sets, weights, kv_caches).

        What fits holds all requests that are asked for; what does not fit has no speed here.
        """
        chips = self._known(block)
        cases, unit = self._alike(block, plans, traffic)
        loads = chips.loads(cases, unit)
        constants = chips.constants(cases)
        with np.errstate(all="ignore"):  # what is not known is not a number
            served = serve(loads, constants)
        known = chips.known(cases)[:, :, None] & (block.missing <= 0)
        ttft[...] = np.where(known, served.ttft, np.nan)
        tpot[...] = np.where(known, served.tpot, np.nan)

    def _alike(self, block: Block, plans: Sequence[Plan], traffic: Traffic) -> "_Unit":
        """The cases of a block's packings, and the loads at unit rates; kept for all kinds of devices."""
        first = case_of_plan(plans[0])
        key = (
            first.parallel, first.most_running, first.batched_tokens, first.eager, traffic, block.weights,
            block.kv_types,
        )  # fmt: skip
        if key not in self._units:
            cases = [
                case_of_plan(replace(plans[0], request=replace(plans[0].request, weights=name)))
                for name in (name or block.request.weights for name in block.weights)
            ]
            cache = [sum(cached_element_bytes(plan)) / 2 for plan in plans]
            self._units[key] = cases, _unit_loads(cases, cache, traffic)
        return self._units[key]

    def _known(self, block: Block) -> "_Chips":
        """The devices of a block, joined as the node that was named joins so many of them."""
        node, firsts = block.request.node, tuple(members[0] for members in block.sets)
        joined = node is not None and (len(block.sets[0]), node)
        key = (joined, *map(id, firsts))
        if key not in self._chips:
            devices = (linked(one, node_for(node, block.sets[0])) for one in firsts) if node else firsts
            self._chips[key] = _Chips(tuple(devices), keys=firsts)
        return self._chips[key]


class _Chips:
    """Devices as arrays of shape (devices,)."""

    def __init__(self, devices: tuple[DeviceSpec, ...], keys: tuple[DeviceSpec, ...]) -> None:
        self.devices, self.keys = devices, keys  # what is told apart by identity has to stay alive
        self.slowed = np.array([min(1.0, power_share(d)) for d in devices])
        self.bandwidth = np.array([d.bandwidth_bytes_per_second or np.nan for d in devices], dtype=float)
        self.wire = np.array([wire_of(d) or np.nan for d in devices], dtype=float)
        self._rates: dict[str, Array] = {}
        self._constants: dict[str, tuple[Multipliers, ...]] = {}
        self._stacked: dict[tuple[str, ...], Any] = {}

    def rate(self, weights: str) -> Array:
        """Dense rates for a class of weights."""
        if weights not in self._rates:
            rates = [rate_of(device, weights)[0] or np.nan for device in self.devices]
            self._rates[weights] = np.array(rates, dtype=float) * self.slowed
        return self._rates[weights]

    def known(self, cases: Sequence[ServingCase]) -> NDArray[np.bool_]:
        """Whether the speed is known, shape (devices, weights); ``serving`` asks for the same."""
        joined = (
            np.isfinite(self.wire) if cases[0].parallel.tensor > 1 else np.ones(len(self.devices), dtype=bool)
        )
        rates = np.stack([self.rate(case.weights) for case in cases], axis=1)
        found: NDArray[np.bool_] = np.isfinite(rates) & (np.isfinite(self.bandwidth) & joined)[:, None]
        return found

    def constants(self, cases: Sequence[ServingCase]) -> Any:
        """The constants of each device and packing, shape (devices, weights, 1)."""
        key = tuple(case.weights for case in cases)
        if key not in self._stacked:
            self._stacked[key] = self._stack(cases)
        return self._stacked[key]

    def _stack(self, cases: Sequence[ServingCase]) -> Any:
        rows = [self._applied(case) for case in cases]
        values: Any = np.array([list(map(_CONSTANTS, row)) for row in rows], dtype=float)
        return Multipliers(
            **{name: values[:, :, place].T[:, :, None] for place, name in enumerate(QUANTITIES)}
        )

    def _applied(self, case: ServingCase) -> tuple[Multipliers, ...]:
        if case.weights not in self._constants:
            made: dict[tuple[str, ...], Multipliers] = {}
            tags = [tags_of(replace(case, device=device)) for device in self.devices]
            for one in dict.fromkeys(tags):
                made[one] = shipped_constants().apply(one)
            self._constants[case.weights] = tuple(made[one] for one in tags)
        return self._constants[case.weights]

    def loads(self, cases: Sequence[ServingCase], unit: dict[str, Any]) -> Any:
        """The loads of each device, packing and cache type."""
        found = dict(unit)
        classes = np.stack([self.rate(case.weights) for case in cases], axis=1)[:, :, None]
        found |= {name: found[name] * (UNIT / self.bandwidth[:, None, None]) for name in BANDWIDTH_BOUND}
        found |= {name: found[name] * (UNIT / classes) for name in CLASS_BOUND}
        found |= {name: found[name] * (UNIT / self.rate("plain")[:, None, None]) for name in PLAIN_BOUND}
        wire = np.where(np.isfinite(self.wire), self.wire, np.inf)
        found["wire_seconds"] = found["wire_seconds"] * (UNIT / wire[:, None, None])
        return Loads(**found)


_Unit = tuple[list[ServingCase], dict[str, Any]]


def _unit_loads(cases: Sequence[ServingCase], cache: Sequence[float], traffic: Traffic) -> dict[str, Any]:
    """The loads of each packing and cache type on a device whose every rate is one unit."""
    unit = replace(
        cases[0].device, bandwidth_bytes_per_second=int(UNIT), link_bytes_per_second=int(UNIT),
        usable_bytes=int(UNIT) ** 2, rates=RATES,
    )  # fmt: skip
    ones = [
        [loads_of(replace(case, device=unit, pool=None, cache_bytes=size), traffic) for size in cache]
        for case in cases
    ]
    sizes = np.array([[_LOADS(one) for one in row] for row in ones], dtype=float)
    return {name: sizes[None, :, :, place] for place, name in enumerate(_LOAD_NAMES)}
