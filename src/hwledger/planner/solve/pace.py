"""Speeds of very many candidates as arrays, from the terms and loads of the one estimator.

Nothing is modelled here: sizes, constants and sums are asked of the same functions that ``estimate`` asks,
once for each type of weights and kind of device, and with arrays over the rest. A test holds every entry
against ``estimate`` of the plan made alone; what is reported is estimated again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwledger.device.spec import DeviceSpec
from hwledger.planner.plan import Plan
from hwledger.planner.solve.blocks import Block, Devices
from hwledger.planner.solve.pace_serving import Servers
from hwledger.planner.solve.pace_single import Singles
from hwledger.planner.solve.question import Question
from hwledger.planner.throughput import Traffic
from hwledger.planner.throughput.layout import layout_of
from hwledger.planner.throughput.measured import SINGLE, serves
from hwledger.planner.throughput.unsupported import unsupported

OWN_POOL: Final = frozenset({"kv_cache_memory_bytes", "num_gpu_blocks_override", "cpu_offload_gb"})
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of every candidate of a block, shape (sets, weights, kv_caches); not a number: not known."""

    ttft: Array
    tpot: Array


class Paces:
    """The speeds of many blocks of one question; what they share is kept."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._singles = Singles()
        self._servers = Servers()
        self._known: dict[tuple[object, ...], bool] = {}
        self._of_sets: dict[tuple[object, ...], tuple[tuple[Devices, ...], NDArray[np.bool_]]] = {}

    def of(self, block: Block) -> Pace:
        """Return the speeds of a block's candidates under the question's traffic."""
        ttft = np.full(block.missing.shape, np.nan)
        tpot = ttft.copy()
        plans = _plans(self.question, block)
        traffic = self.question.traffic(plans[0])
        alike = all(device is block.sets[0][0] for device in block.sets[0])
        if alike and plans[0].engine in SINGLE and layout_of(plans[0]).host is None:
            self._singles.fill(block, plans, traffic, ttft, tpot)
        elif alike and serves(plans[0].engine) and _plain(plans[0], traffic):
            self._servers.fill(block, plans, traffic, ttft, tpot)
        else:
            self._one_by_one(block, ttft, tpot)
        refused = self._refusals(plans[0], block.sets)
        ttft[refused] = tpot[refused] = np.nan
        return Pace(ttft=ttft, tpot=tpot)

    def _refusals(self, plan: Plan, sets: tuple[Devices, ...]) -> NDArray[np.bool_]:
        """Whether the engine does not run on each set at all; the layouts of a class share its sets."""
        key = (id(sets), plan.memory.options.get("tensor_parallel_size"))
        if key not in self._of_sets:
            refused = np.array([self._refused(plan, members) for members in sets])
            self._of_sets[key] = sets, refused  # what is told apart by identity has to stay alive
        return self._of_sets[key][1]

    def _refused(self, plan: Plan, members: Sequence[DeviceSpec]) -> bool:
        """Whether the engine does not run on these devices at all, as the estimator has it.

        Of a device its maker and its generation count, as the rules of ``throughput/unsupported.py`` do.
        """
        each = {id(one): one for one in members}.values()
        kinds = ((one.vendor, one.architecture, one.compute_capability) for one in each)
        key = (*kinds, plan.memory.options.get("tensor_parallel_size"))
        if key not in self._known:
            request = replace(plan.request, devices=tuple(members))
            self._known[key] = bool(unsupported(replace(plan, request=request)))
        return self._known[key]

    def _one_by_one(self, block: Block, ttft: Array, tpot: Array) -> None:
        """Mixed devices, a part on the host, arrivals, engines without arrays: the estimator as it is."""
        question = self.question
        if question.estimator is None:
            return
        for index in np.ndindex(*block.missing.shape):
            if block.missing[index] > 0 or not block.runs[index]:
                continue
            request = block.request_of(question, (index[0], index[1], index[2]))
            plan = Plan(
                request=request, engine=question.profile.name, memory=question.profile.memory(request)
            )
            found = question.estimator(plan, question.traffic(plan))
            ttft[index] = found.ttft_seconds.value if found.ttft_seconds else np.nan
            tpot[index] = found.tpot_seconds.value if found.tpot_seconds else np.nan


def _plain(plan: Plan, traffic: Traffic) -> bool:
    """Whether the arrays know all that the estimator does: no arrivals, pool or offload by hand."""
    return traffic.requests_per_second is None and not OWN_POOL & plan.request.options.keys()


def _plans(question: Question, block: Block) -> list[Plan]:
    """The plan of the first set for each cache type, weights as in the question."""
    return [
        Plan(
            request=block.request_of(question, (0, 0, kv)), engine=question.profile.name,
            memory=replace(block.memory, kv_type=name, kv_cache_bytes_per_token=grown),
        )
        for kv, (name, grown) in enumerate(block.kv_types)
    ]  # fmt: skip
