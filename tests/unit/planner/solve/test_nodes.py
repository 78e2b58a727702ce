"""Nodes: the host's memory, its rate and the links count in plans, in fits and in the solver."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.device.node import Node, find_node, host_room_bytes, node_for, node_of
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.document import plan_document
from hwledger.planner.fit import Verdict
from hwledger.planner.plan import Plan, plan
from hwledger.planner.solve.blocks import blocks
from hwledger.planner.solve.limits import MEMORY, NODE_HOST, Limits
from hwledger.planner.solve.offload import solve_layout
from hwledger.planner.solve.pace import Paces
from hwledger.planner.solve.question import Question, measure
from hwledger.planner.solve.ranking import Mode, fit_model
from hwledger.planner.solve.solve import solve
from hwledger.planner.solve.table import table_of
from hwledger.planner.throughput import Throughput, Traffic, estimate
from hwledger.units import GIB
from support.solving import question

SPARSE = "Qwen/Qwen3-30B-A3B"


def desk(host_gib: int, **more: Any) -> Node:
    """One card in a host of so much memory."""
    made = node_of(parse_devices("RTX 4090"), "desk")
    return replace(made, host_memory_bytes=host_gib * GIB, source="test", **more)


def estimated(made: Plan, traffic: Traffic) -> Throughput:
    """The shipped estimate, without runs of one's own."""
    return estimate(made, traffic)


def asked(node: Node | None, model: str = SPARSE, engine: str = "llama.cpp", **more: Any) -> Question:
    """A question about a model on a node, or on its card in a host of which nothing is known."""
    made = question(
        shipped_model(model), engine, node.devices if node else parse_devices("RTX 4090"), context=4096,
        estimator=estimated, **more,
    )  # fmt: skip
    return replace(made, request=replace(made.request, node=node))


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_what_stays_in_host_memory_is_held_against_the_node() -> None:
    """The same split fits a large host, misses a small one by what lacks there; an unknown one is let be."""
    verdicts = {}
    for gib in (4, 64, 0):
        node = desk(gib) if gib else None
        made = plan(
            shipped_model(SPARSE), engine="llama.cpp", weights="Q8_0", devices=parse_devices("RTX 4090"),
            node=node, options=["n_cpu_moe=20"], suggest=False,
        )  # fmt: skip
        assert made.fit
        verdicts[gib] = made.fit.verdict
        room = made.fit.host_headroom_bytes
        assert room == (gib * GIB - made.host_bytes if gib else None)
        assert ("of host memory" in made.fit.missing) == (gib == 4)
        document = plan_document(made)
        assert document["fit"]["host_headroom_bytes"] == room
        assert (document["node"] or {}).get("host_memory_bytes") == (gib * GIB or None)
    assert verdicts == {4: Verdict.DOES_NOT_FIT, 64: Verdict.FITS, 0: Verdict.FITS}


@pytest.mark.requirement("FR-SOLVE-NODE", "FR-SOLVE-SPLIT", "FR-SOLVE-WHY-NOT")
def test_a_split_is_refused_by_the_host_that_does_not_hold_it() -> None:
    """Where cards leave more than the host holds, the refusal names the node, or --ram, whichever misses."""
    assert solve_layout(asked(desk(64), weights="Q8_0")).holds
    answer = solve_layout(asked(desk(4), weights="Q8_0"))
    assert not answer.holds
    missed = {miss.limit: miss.why for one in answer.refused for miss in one.misses}
    assert missed.keys() == {MEMORY, NODE_HOST}
    assert missed[NODE_HOST].endswith("of desk")
    both = solve_layout(asked(desk(64), weights="Q8_0", limits=Limits(ram_bytes=2 * GIB)))
    missed = {miss.limit: miss.why for one in both.refused for miss in one.misses}
    assert missed.keys() == {MEMORY, "ram_bytes"}
    assert missed["ram_bytes"].endswith("of --ram")


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_layers_in_host_memory_are_as_fast_as_the_nodes_memory() -> None:
    """Twice the host's rate makes every way with parts there faster, and no other."""
    slow, fast = (
        solve_layout(asked(desk(64, host_bandwidth_bytes_per_second=rate), weights="Q8_0")).front
        for rate in (50 * 10**9, 100 * 10**9)
    )
    assert len(slow) == 2
    for one, other in zip(
        sorted(slow, key=lambda s: s.value), sorted(fast, key=lambda s: s.value), strict=True
    ):
        assert one.measured.users_per_second
        assert other.measured.users_per_second
        assert 1.2 < other.measured.users_per_second / one.measured.users_per_second < 2


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_links_are_those_of_the_node_in_the_arrays_as_in_the_plans() -> None:
    """Tensor ranks over a bridge answer sooner; arrays of candidates agree with the estimate of each plan."""
    pair = parse_devices("2x RTX 3090")
    bare = node_of(pair, "pair")
    card = pair[0]
    bridged = replace(bare, link=card.bridge, link_bytes_per_second=card.bridge_bytes_per_second)
    found = []
    for node in (bare, bridged):
        one = asked(node, "Qwen/Qwen3-8B", "vllm", concurrency=16)
        for block in blocks(one, [pair], (None,), (None,)):
            if block.layout.get("tensor_parallel_size") != 2:
                continue
            pace = Paces(one).of(block)
            alone = measure(one, block.request_of(one, (0, 0, 0)))
            assert alone.throughput
            assert alone.throughput.tpot_seconds
            assert pace.tpot[0, 0, 0] == pytest.approx(alone.throughput.tpot_seconds.value)
            found.append(float(pace.tpot[0, 0, 0]))
    assert len(found) == 2
    assert found[1] < found[0]


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_arrays_hold_the_host_against_the_node_as_plans_do() -> None:
    """Every candidate misses the host in the table exactly where its own plan does, with layers there."""
    for gib in (1, 4, 16, 64):
        one = asked(desk(gib), options={"n_cpu_moe": 30})
        made = blocks(one, [one.request.devices], (None, "Q4_K_M", "IQ2_M"), (None, "q8_0"))
        table = table_of([(block, None) for block in made], one.limits)
        for row in range(len(table.block)):
            block, index = table.index(row)
            alone = measure(one, block.request_of(one, index), speed=False)
            missed = {miss.limit for miss in alone.misses}
            assert {name for name, over in table.excess.items() if over[row] > 0} == missed


@pytest.mark.requirement("FR-SOLVE-NODE", "FR-SOLVE-DEVICES")
def test_no_more_devices_are_answered_than_the_node_has() -> None:
    """A machine of eight is asked for one to eight of its cards; where that is not enough it is said."""
    node = find_node("DGX H100")
    assert node
    answer = solve(asked(node, "Qwen/Qwen3-235B-A22B", "vllm"), "devices")
    assert {len(one.measured.request.devices) for one in answer.solutions} == {8}
    assert all(one.measured.request.node is node for one in answer.solutions)
    refused = solve(asked(node, "deepseek-ai/DeepSeek-V3", "vllm", weights="bf16"), "devices")
    assert not refused.holds
    assert refused.nearest
    assert len(refused.nearest.measured.request.devices) == 8
    assert any("DGX H100 has 8x H100" in note for note in refused.notes)


@pytest.mark.requirement("FR-SOLVE-NODE", "FR-SOLVE-FIT")
def test_a_model_that_the_host_does_not_hold_is_not_listed_as_running() -> None:
    """On a card and a large host it runs with experts there; with a small host in a smaller type, or not."""
    spec, card = shipped_model("Qwen/Qwen3-235B-A22B"), parse_devices("RTX 4090")
    large = fit_model(spec, card, node=desk(256), estimator=estimated)
    small = fit_model(spec, card, node=desk(16), estimator=estimated)
    assert large.mode in {Mode.EXPERTS, Mode.LAYERS}
    assert small.mode is Mode.NOT
    assert "16.00 GiB of desk" in small.problem
    assert large.measured
    assert large.measured.plan
    assert large.measured.plan.host_bytes <= 256 * GIB


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_shared_memory_is_what_the_devices_leave() -> None:
    """A machine whose devices share the host's memory has the rest of it; nothing is known without a node."""
    mac = node_of((find_device("M3 Ultra 256GB"),), "studio")
    assert host_room_bytes(mac, mac.devices, 200 * GIB) == 56 * GIB
    assert host_room_bytes(None, mac.devices, 0) is None
    assert host_room_bytes(node_of(parse_devices("RTX 4090")), mac.devices, 0) is None
    rooms = host_room_bytes(desk(8), mac.devices, np.array([1, 2]))
    assert list(rooms) == [8 * GIB, 8 * GIB]


@pytest.mark.requirement("FR-SOLVE-NODE")
def test_further_devices_keep_the_host_and_lose_the_links() -> None:
    """Some of a node's devices are joined as in it; others have its host and links of their own."""
    node = find_node("DGX H100")
    assert node
    card = node.devices[0]
    half = node_for(node, (card,) * 4)
    assert (half.link, len(half.devices)) == (node.link, 4)
    other = node_for(node, parse_devices("2x RTX 4090"))
    assert other.link_bytes_per_second is None
    assert other.host_memory_bytes == node.host_memory_bytes
    assert node_for(None, (card,)) == node_of((card,))
