"""Catalogues of devices: arrays equal plans, and nothing better exists in the searched space."""

from dataclasses import replace
from itertools import product
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import devices as catalogue
from hwledger.device.catalogue import find_device
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import Plan
from hwledger.planner.solve.arrivals import Arrivals, parse_lengths
from hwledger.planner.solve.blocks import Block, blocks
from hwledger.planner.solve.choices import (
    counts_on,
    engine_runs_on,
    layouts_of,
    type_choices,
    types_on,
)
from hwledger.planner.solve.devices import solve_devices
from hwledger.planner.solve.front import known_no_worse, undominated
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.pace import Paces
from hwledger.planner.solve.power import plan_power_share
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS
from hwledger.planner.solve.question import Measured, Question, measure, served_per_second
from hwledger.planner.solve.solve import solve
from hwledger.planner.throughput import Throughput, Traffic, estimate
from support.solving import question, unknown_speed

MODELS = ["Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3"]
FEW = ("RTX 4090", "H100 SXM 80GB", "MI300X", "RTX 3060 12GB", "M4 Max 40-core 128GB", "RTX 5090")


def speed(plan: Plan, traffic: Traffic) -> Throughput:
    """The estimator as the application asks it."""
    return estimate(plan, traffic, power_share=plan_power_share(plan))


def asked(model: str, engine: str, **more: Any) -> Question:
    """A question about a model of the catalogue, with a speed estimate."""
    few = tuple(device for device in catalogue() if device.name in FEW)
    return question(shipped_model(model), engine, estimator=speed, catalogue=few, **{"context": 8192, **more})


def _sets(wanted: Question) -> list[tuple[Any, ...]]:
    engine = wanted.profile.name
    return [(d,) * n for n in counts_on(engine) for d in wanted.catalogue if engine_runs_on(engine, d, n)]


def _blocks(wanted: Question) -> list[Block]:
    engine = wanted.profile.name
    weights = (None, *(one.name for one in type_choices(engine, WEIGHTS)))
    caches = (None, *(one.name for one in type_choices(engine, KV_CACHE)))
    return list(blocks(wanted, _sets(wanted), weights, caches))


@pytest.mark.requirement("FR-SOLVE-DEVICES", "NFR-SPEED")
@pytest.mark.parametrize("users", [1, 6])
@pytest.mark.parametrize(
    ("model", "engine"),
    [*product(MODELS, ["vllm", "llama.cpp"]), ("Qwen/Qwen3-32B", "mlx"), ("Qwen/Qwen3-32B", "transformers")],
)
def test_arrays_equal_the_plan_and_the_estimate_made_alone(model: str, engine: str, users: int) -> None:
    """Bytes of the fullest device, all bytes, TTFT and TPOT of drawn candidates agree exactly."""
    wanted = asked(model, engine, concurrency=users)
    wanted = replace(wanted, catalogue=catalogue()[::11])
    found, paces = _blocks(wanted), Paces(wanted)
    random = np.random.default_rng(users)
    for number in random.integers(len(found), size=8):
        block = found[number]
        pace = paces.of(block)
        index = tuple(int(random.integers(size)) for size in block.missing.shape)
        alone = measure(wanted, block.request_of(wanted, index), speed=False).plan  # type: ignore[arg-type]
        assert alone
        room = min(d.usable_bytes - d.total_bytes for d in alone.devices if d.usable_bytes is not None)
        assert (-room, alone.total_bytes, alone.host_bytes) == (
            block.missing[index], block.total[index], block.host[index],
        )  # fmt: skip
        _same_speed(wanted, alone, float(pace.ttft[index]), float(pace.tpot[index]), fits=room >= 0)


def _same_speed(wanted: Question, plan: Plan, ttft: float, tpot: float, *, fits: bool) -> None:
    throughput = speed(plan, wanted.traffic(plan))
    for figure, value in ((throughput.ttft_seconds, ttft), (throughput.tpot_seconds, tpot)):
        if figure is None or (not fits and np.isnan(value)):
            assert np.isnan(value)
        else:
            assert value == pytest.approx(figure.value, rel=1e-9)


def every_way(wanted: Question, unknowns: tuple[str, ...]) -> list[Measured]:
    """Every candidate of a small space, each planned and estimated alone."""
    found = []
    for devices in _sets(wanted):
        names = types_on(wanted.profile.name, WEIGHTS, devices) if "weights" in unknowns else (None,)
        for layout in layouts_of(wanted.profile, wanted.request.spec, len(devices)):
            start = wanted.vary(wanted.request, devices=devices, options=layout)
            found += [measure(wanted, wanted.vary(start, weights=n) if n else start) for n in names]
    return found


def _price(way: Measured) -> float:
    return inf if way.cost.rent_per_hour is None else way.cost.rent_per_hour


@pytest.mark.requirement("FR-SOLVE-DEVICES", "FR-SOLVE-COST", "FR-SOLVE-LIMITS")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp"])
@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(tpot_seconds=0.03, max_watts=3000),
        Limits(min_tokens_per_second=25, max_price_per_hour=4),
    ],
)
def test_no_devices_are_fewer_cheaper_or_faster(engine: str, limits: Limits) -> None:
    """The answers hold, and equal the best of brute force over the same space."""
    wanted = asked("Qwen/Qwen3-32B", engine, limits=limits)
    ways = every_way(wanted, ("devices", "weights"))
    holding = [way for way in ways if way.holds]
    found = {one.kind: one.measured for one in solve_devices(wanted, ("devices", "weights")).solutions}
    assert holding
    assert all(one.holds for one in found.values())
    assert len(found["devices-fewest"].request.devices) == min(len(w.request.devices) for w in holding)
    assert _price(found["devices-cheapest"]) == pytest.approx(min(map(_price, holding)))
    fastest = max(way.users_per_second or 0 for way in holding)
    assert found["devices-fastest"].users_per_second == pytest.approx(fastest)


@pytest.mark.requirement("FR-SOLVE-FRONT")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp"])
def test_nothing_on_the_front_is_beaten_by_any_way(engine: str) -> None:
    """No candidate is at least as good in memory, speed, price and known quality, and better in one."""
    wanted = asked("Qwen/Qwen3-32B", engine)
    holding = [way for way in every_way(wanted, ("devices", "weights")) if way.holds and way.throughput]
    front = solve_devices(wanted, ("devices", "weights")).front
    assert len(front) > 2
    for one in front:
        assert not any(_beats(way, one.measured) for way in holding)


def _beats(way: Measured, other: Measured) -> bool:
    mine, theirs = _columns(way), _columns(other)
    if way.cost.rent_per_hour is None and other.cost.rent_per_hour is not None:
        return False
    if not known_no_worse((way.request.weights, None), (other.request.weights, None)):
        return False
    no_worse = all(a <= b * (1 + 1e-12) for a, b in zip(mine, theirs, strict=True))
    return no_worse and any(a < b * (1 - 1e-9) for a, b in zip(mine, theirs, strict=True))


def _columns(way: Measured) -> tuple[float, ...]:
    slow = 1 / way.users_per_second if way.users_per_second else inf
    price = _price(way)
    return (float(way.plan.total_bytes) if way.plan else inf, slow, 1e9 if price == inf else price)


@pytest.mark.requirement("FR-SOLVE-FRONT")
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_the_front_of_points_equals_that_of_brute_force(points: list[tuple[int, ...]]) -> None:
    """A point is kept where no other is at least as low everywhere and lower somewhere; one of equals."""
    array = np.array(points, dtype=float)
    expected = {
        point for point in points
        if not any(all(a <= b for a, b in zip(o, point, strict=True)) and o != point for o in points)
    }  # fmt: skip
    kept = [points[i] for i in np.flatnonzero(undominated(array))]
    assert sorted(kept) == sorted(expected)


@pytest.mark.requirement("FR-SOLVE-WHY-NOT")
def test_where_nothing_holds_the_nearest_way_is_the_nearest_of_all() -> None:
    """No candidate misses fewer limits, and the nearest miss of each limit is said with its figures."""
    wanted = asked("Qwen/Qwen3-32B", "vllm", limits=Limits(tpot_seconds=1e-5, max_price_per_hour=0.01))
    answer = solve_devices(wanted, ("devices", "weights"))
    assert not answer.holds
    assert answer.nearest
    ways = [way for way in every_way(wanted, ("devices", "weights")) if way.plan]
    assert len(answer.nearest.measured.misses) == min(len(way.misses) for way in ways)
    assert {miss.limit for one in answer.refused for miss in one.misses} >= {
        "tpot_seconds",
        "max_price_per_hour",
    }
    assert all("over" in one.why or "not known" in one.why for one in answer.refused)


@pytest.mark.requirement("FR-SOLVE-WHY-NOT")
def test_a_device_of_unknown_speed_is_not_taken_where_speed_is_limited() -> None:
    """Nothing is said to hold a limit on a figure that nobody knows."""
    wanted = replace(
        asked("Qwen/Qwen3-8B", "transformers", limits=Limits(tpot_seconds=1)), estimator=unknown_speed
    )
    answer = solve_devices(wanted, ("devices",))
    assert not answer.holds
    assert any("not known" in note for note in answer.notes)


@pytest.mark.requirement("FR-SOLVE-LOAD", "FR-SOLVE-DEVICES")
def test_devices_for_arrivals_keep_up_with_them() -> None:
    """Each answer serves at least as many requests per second as arrive, within the limits."""
    arrivals = Arrivals(requests_per_second=8, prompt=parse_lengths("1000"), output=parse_lengths("200"))
    wanted = asked("Qwen/Qwen3-32B", "vllm", weights="fp8", limits=Limits(ttft_seconds=2), arrivals=arrivals)
    answer = solve(wanted, "devices")
    assert answer.holds
    for one in answer.solutions:
        assert one.measured.throughput
        assert (served_per_second(one.measured.throughput) or 0) >= 8
        assert one.measured.throughput.ttft_seconds
        assert one.measured.throughput.ttft_seconds.value <= 2


@pytest.mark.requirement("FR-SOLVE-DEVICES")
def test_progress_is_told_up_to_the_last_set() -> None:
    """The callback counts sets of devices up to all of them."""
    seen: list[tuple[int, int]] = []
    wanted = asked("Qwen/Qwen3-8B", "llama.cpp")
    solve_devices(wanted, ("devices",), lambda done, of: seen.append((done, of)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == len(_sets(wanted))


@pytest.mark.requirement("FR-SOLVE-DEVICES")
def test_a_type_is_only_answered_where_the_device_runs_it() -> None:
    """VLLM needs compute capability 7.5, and a cache in fp8 is offered from 8.9 on."""
    wanted = replace(asked("Qwen/Qwen3-8B", "vllm", weights=None), catalogue=(find_device("A100 SXM 40GB"),))
    answer = solve_devices(wanted, ("devices", "weights", "kv-cache"))
    assert answer.solutions
    assert all(one.measured.request.kv_cache is None for one in (*answer.solutions, *answer.front))
    old = solve_devices(replace(wanted, catalogue=(find_device("V100 SXM2 32GB"),)), ("devices",))
    assert not old.solutions
