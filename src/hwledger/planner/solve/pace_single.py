"""Many candidates at once on llama.cpp and mlx: sums of terms that are linear in the devices' shares."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwledger.planner.plan import Plan
from hwledger.planner.solve.blocks import Block
from hwledger.planner.throughput import Traffic, cached_element_bytes, work_of
from hwledger.planner.throughput.constants import shipped_constants
from hwledger.planner.throughput.decode import decode_terms
from hwledger.planner.throughput.layout import layout_of
from hwledger.planner.throughput.pipeline import Stage, launches, overlapped
from hwledger.planner.throughput.prefill import piped, prefill_terms
from hwledger.planner.throughput.setting import Setting, setting_of
from hwledger.planner.throughput.silicon import Silicon, silicon_of
from hwledger.planner.throughput.single import Time, between_tokens, first_token
from hwledger.planner.throughput.terms import MICROSECOND, WHOLE, Share, Term
from hwledger.planner.throughput.work import Work

Array = NDArray[np.float64]
Terms = Callable[[Silicon], Sequence[Term]]
MATRICES: Final = frozenset({"matrices", "expert matrices"})


class _Many:
    """Kinds of silicon as one, with arrays of shape (kinds, 1) for what differs; it has no effects."""

    vendor = memory = kind = family = tier = ""
    power = width = 0.0
    scalar = False

    def __init__(self, kinds: tuple[Silicon, ...]) -> None:
        self.kinds = kinds
        self.bandwidth = np.array([[one.bandwidth] for one in kinds])
        self.lane = np.array([[one.lane] for one in kinds])
        self.multiplying = np.array([[one.multiplying or np.nan] for one in kinds])


class Singles:
    """Fills the speeds of blocks; what depends on the kind of device and the packing alone is kept."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, ...], tuple[_Many, NDArray[np.int64]]] = {}
        self._multipliers: dict[tuple[object, ...], tuple[Array, ...]] = {}

    def fill(self, block: Block, plans: Sequence[Plan], traffic: Traffic, ttft: Array, tpot: Array) -> None:
        """Write TTFT and TPOT of a block, shape (sets, weights, kv_caches)."""
        count, device = len(block.sets[0]), block.sets[0][0]
        if count > 1 and plans[0].engine == "mlx":
            return
        many, index = self._known(block)
        elements = np.array([cached_element_bytes(plan) for plan in plans]).T
        shares = [share for _, share in layout_of(plans[0]).devices]
        for w, name in enumerate(block.weights):
            request = replace(plans[0].request, weights=name or block.request.weights)
            setting = setting_of(replace(plans[0], request=request), device)
            if not many.kinds or f"e.on:{device.vendor} {setting.backend}" not in shipped_constants().values:
                continue
            work = work_of(request.spec, request.weights)
            first, each = self._times(work, many, setting, traffic, elements, shares)
            there = index >= 0
            ttft[there, w], tpot[there, w] = first[index[there]], each[index[there]]

    def _known(self, block: Block) -> "tuple[_Many, NDArray[np.int64]]":
        """The kinds of silicon of a block, and the kind of each set; -1: its bandwidth is not known."""
        devices = tuple(members[0] for members in block.sets)
        key = tuple(map(id, devices))
        if key not in self._kinds:
            found = [silicon_of(device) for device in devices]
            kinds = tuple(dict.fromkeys(one for one in found if one is not None))
            places = {one: place for place, one in enumerate(kinds)}
            index = np.array([-1 if one is None else places[one] for one in found])
            self._kinds[key] = _Many(kinds), index
        return self._kinds[key]

    def _times(  # noqa: PLR0913, PLR0917 - what a step depends on
        self,
        work: Work,
        many: Any,
        setting: Setting,
        traffic: Traffic,
        elements: Array,
        shares: Sequence[Share],
    ) -> tuple[Any, Any]:
        """TTFT and TPOT, shape (kinds, cache types)."""
        users, depth, count = traffic.concurrency, traffic.mean_depth, len(shares)

        def step(silicon: Any, key: Any = 2.0, value: Any = 2.0) -> Sequence[Term]:
            return decode_terms(work, silicon, setting, depth=depth, cache_bytes=(key, value), batch=users)

        def more(silicon: Any) -> Sequence[Term]:
            terms = prefill_terms(work, silicon, setting, tokens=users - 1) or ()
            return [term for term in terms if term.name in MATRICES]

        same = (id(many), setting)  # what scales a term goes by the type of most matrices, not by their bytes
        seconds = self._sum(("step", *same), many.kinds, step, step(many, *elements))
        if users > 1:
            seconds = seconds + self._sum(("more", *same), many.kinds, more, more(many))
        if count > 1:
            hops = Term("hops", (count - 1) * MICROSECOND, (("h", 1.0),))
            seconds = seconds + shipped_constants().seconds(hops)
        if not traffic.prompt_tokens:
            return np.full_like(seconds, np.nan), seconds
        asked = self._prompt(work, many, setting, traffic, shares)
        alone = np.isnan(asked)  # no rate is known: prompts cannot be timed, steps can
        times = Time(seconds, seconds, seconds, {}, ""), Time(asked, asked, asked, {}, "")
        first, each = first_token(*times, traffic).value, between_tokens(*times, traffic).value
        return first, np.where(alone, seconds, each)

    def _prompt(
        self,
        work: Work,
        many: Any,
        setting: Setting,
        traffic: Traffic,
        shares: Sequence[Share],
    ) -> Any:
        """The time of a prompt on devices with these shares, one kind each time; shape (kinds, 1)."""

        def prompt(silicon: Any, share: Share = WHOLE) -> Sequence[Term]:
            found = prefill_terms(
                work, silicon, setting, tokens=traffic.prompt_tokens, depth=traffic.cached_tokens,
                stages=len(shares), share=share,
            )  # fmt: skip
            return found or ()

        key = ("prompt", len(shares) > 1, id(many), setting)
        each = {
            share: self._sum(key, many.kinds, prompt, prompt(many, share)) for share in dict.fromkeys(shares)
        }
        whole = sum(each[share] for share in shares)
        if not piped(setting, len(shares)):
            return whole
        kernels = launches(work, setting)
        stages = [Stage(each[share], share.layers * kernels) for share in shares]
        return whole * overlapped(stages, ceil(traffic.prompt_tokens / setting.micro_batch))

    def _sum(
        self, key: tuple[object, ...], kinds: tuple[Silicon, ...], terms: Terms, sizes: Sequence[Term]
    ) -> Any:
        """Sizes of all kinds at once, each scaled by its own constants."""
        if key not in self._multipliers:
            self._multipliers[key] = _scales(kinds, terms, len(sizes))
        return sum(term.seconds * scale for term, scale in zip(sizes, self._multipliers[key], strict=True))


def _scale(term: Term) -> float:
    return _effect(term.effects)


@lru_cache(maxsize=1 << 14)
def _effect(effects: tuple[tuple[str, float], ...]) -> float:
    """What the constants make of one second of a term with these effects."""
    return shipped_constants().seconds(Term("", 1.0, effects))


def _scales(kinds: tuple[Silicon, ...], terms: Terms, count: int) -> tuple[Array, ...]:
    """What the constants make of each term, shape (kinds, 1) each; a kind without the terms: not a number."""
    rows = [[_scale(term) for term in terms(one)] for one in kinds]
    filled = np.array([row or [np.nan] * count for row in rows])
    return tuple(filled.T[:, :, None])
