"""Reconciliation: sums come out, nothing is folded into another, and what is not known stays unknown."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.app import devices_of
from hwledger.planner.memory import HOST, Basis, Category, Component
from hwledger.planner.plan import Plan
from hwledger.reconcile.memory import (
    NOT_PLANNED,
    NOT_TOLD,
    TOLD,
    device_account,
    memory_terms,
    process_account,
    seen_of,
)
from hwledger.reconcile.speed import busy_note, capacity_terms, speed_terms
from hwledger.reconcile.term import Account, Expected, Part, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.runner.fake import FakeRunning
from hwledger.telemetry.quantity import Quantity, Unit
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.reading import Basis as ReadingBasis
from hwledger.telemetry.snapshot import EngineSnapshot, HostSnapshot, ModelSnapshot
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-RUN-RECONCILE")
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy draws slowly."""
SIZES = st.integers(0, 1 << 45)
PLAN = small_plan()
LOG = Gauge("llama.cpp log", basis=ReadingBasis.LOGGED)


@st.composite
def components(draw: st.DrawFn) -> tuple[Component, ...]:
    """Return the parts of some plan, on devices and the host."""
    made = []
    for category in draw(st.lists(st.sampled_from(Category), max_size=6)):
        size = draw(SIZES)
        host_compute = category is Category.RUNTIME and draw(st.booleans())
        made.append(
            Component(
                name="host compute" if host_compute else category.value,
                category=category,
                size_bytes=size,
                basis=draw(st.sampled_from(Basis)),
                source=draw(st.sampled_from(["a rule", "another"])),
                place=draw(st.sampled_from([HOST, 0, 1])),
                low_bytes=draw(st.integers(0, size)),
                high_bytes=size + draw(SIZES),
            )
        )
    return tuple(made)


def with_components(parts: tuple[Component, ...]) -> Plan:
    """Return a plan of these parts."""
    return replace(PLAN, memory=replace(PLAN.memory, components=parts))


def readings() -> st.SearchStrategy[Reading]:
    """Return readings of some bytes, or reasons."""
    values = SIZES.map(lambda size: LOG(Quantity.WEIGHTS_BYTES, size))
    return st.one_of(values, st.sampled_from(Reason).map(lambda reason: Absent(reason, "because")))


@st.composite
def engines(draw: st.DrawFn) -> EngineSnapshot:
    """Return what an engine tells of a model: in all, and by device."""
    told = draw(st.dictionaries(st.sampled_from(list(TOLD.values())), readings()))
    names = st.sampled_from(["CPU", "CPU_Mapped", "CUDA0", "CUDA1", "CUDA_Host", "Metal"])
    told_there = st.dictionaries(st.sampled_from(list(TOLD.values())), readings(), max_size=3)
    by_device = st.dictionaries(names, told_there, max_size=3)
    model = ModelSnapshot("model", loaded=True, readings=told, devices=draw(by_device))
    return EngineSnapshot("llama.cpp", models=(model,))


@BUSY
@given(components(), engines())
def test_the_terms_add_up_to_the_plan(parts: tuple[Component, ...], engine: EngineSnapshot) -> None:
    """Every component is in one term: their sum is the total, the ends of intervals add up as well."""
    made = with_components(parts)
    terms = memory_terms(made, engine)
    assert len({term.name for term in terms}) == len(terms)
    found = Reconciliation(
        model="m", engine="e", planned_as="e", planned_version="", seen_version="", terms=terms
    )  # fmt: skip
    assert found.planned_bytes == made.total_bytes
    expected = [term.expected for term in terms if isinstance(term.expected, Expected)]
    shown = {term.name for term in terms}
    left_out = [part for part in parts if part.category.value not in shown and part.name != "host compute"]
    assert not any(part.size_bytes for part in left_out)
    low, high = made.total_interval_bytes
    assert sum(each.low for each in expected) + sum(p.interval_bytes[0] for p in left_out) == low
    assert sum(each.high for each in expected) <= high


@BUSY
@given(components(), engines(), SIZES)
def test_one_reading_moves_one_term(parts: tuple[Component, ...], engine: EngineSnapshot, size: int) -> None:
    """Another weight in the engine's words changes the term of weights and no other."""
    made = with_components(parts)
    (model,) = engine.models
    told = {**model.readings, Quantity.WEIGHTS_BYTES: LOG(Quantity.WEIGHTS_BYTES, size)}
    other = replace(engine, models=(replace(model, readings=MappingProxyType(told)),))
    before = {term.name: term for term in memory_terms(made, engine)}
    after = {term.name: term for term in memory_terms(made, other)}
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"weights"}


@BUSY
@given(engines(), readings())
def test_a_whole_is_its_parts_and_what_nothing_explains(engine: EngineSnapshot, whole: Reading) -> None:
    """Parts and the unexplained rest add up to the whole, be the rest negative; each buffer is once."""
    accounts = (process_account(engine, whole), device_account(engine, whole))
    for account in accounts:
        if isinstance(whole, Absent):
            assert isinstance(account.whole, Unknown)
            assert account.unexplained is None
        else:
            assert account.unexplained is not None
            assert account.explained + account.unexplained == whole.value
    names = [(part.name, part.place) for account in accounts for part in account.parts]
    assert len(set(names)) == len(names)
    told = [
        reading.value
        for device in engine.models[0].devices.values()
        for reading in device.values()
        if not isinstance(reading, Absent)
    ]
    assert sum(account.explained for account in accounts) == sum(map(float, told))  # type: ignore[arg-type]


@given(readings())
def test_a_reason_is_never_a_number(reading: Reading) -> None:
    """What is absent is unknown with its reason; zero is zero."""
    seen = seen_of(reading)
    if isinstance(reading, Absent):
        assert seen == Unknown("because")
    else:
        assert isinstance(seen, Seen)
        assert (seen.value, seen.quality) == (reading.value, Quality.LOGGED)


def test_what_is_not_told_or_not_planned_is_said() -> None:
    """Unknown on either side leaves no difference and no verdict."""
    parts = (part_of("output", Category.OUTPUT, 196_608),)
    engine = EngineSnapshot("vllm", models=(ModelSnapshot("m", readings={Quantity.GRAPH_BYTES: LOG(
        Quantity.GRAPH_BYTES, 5)}),))  # fmt: skip
    terms = {term.name: term for term in memory_terms(with_components(parts), engine)}
    assert terms["output"].seen == Unknown(NOT_TOLD)
    assert terms["graph"].expected == Unknown(NOT_PLANNED)
    for term in terms.values():
        assert (term.difference, term.inside) == (None, None)
    assert set(terms) == {"output", "graph"}


def part_of(name: str, category: Category, size: int, **more: int) -> Component:
    """Return an exact component on the host."""
    return Component(
        name=name, category=category, size_bytes=size, basis=Basis.EXACT, source="a rule", place=HOST,
        low_bytes=more.get("low"), high_bytes=more.get("high"),
    )  # fmt: skip


def test_the_last_digit_of_a_log_is_no_difference() -> None:
    """5.62 MiB of a log is 5.625 MiB of a plan; a byte further out is not."""
    size = 5 * (1 << 20) + 5 * (1 << 17)
    for off, inside in ((0.005, True), (0.0051, False)):
        told = LOG(Quantity.KV_CACHE_BYTES, round(size - off * (1 << 20) + 0.5))
        model = ModelSnapshot("m", devices={"CPU": {Quantity.KV_CACHE_BYTES: told}},
                              readings={Quantity.KV_CACHE_BYTES: told})  # fmt: skip
        engine = EngineSnapshot("llama.cpp", models=(model,))
        (term,) = memory_terms(with_components((part_of("kv_cache", Category.KV_CACHE, size),)), engine)
        assert term.inside is inside
        assert term.difference == told.value - size  # type: ignore[operator]


def test_a_figure_beside_its_interval_is_outside() -> None:
    """The planned interval decides, and the difference is seen less planned."""
    expected = Expected(100.0, 90.0, 120.0, Basis.CALIBRATED, "fit")
    for seen, inside in ((90.0, True), (120.0, True), (89.0, False), (121.0, False)):
        term = Term("compute", Unit.BYTES, expected, Seen(seen, Quality.LOGGED, "log"))
        assert (term.inside, term.difference) == (inside, seen - 100.0)


def test_an_engine_that_does_what_was_planned_reconciles() -> None:
    """The fake engine reports the plan: every told term is inside with no difference."""
    terms = memory_terms(PLAN, FakeRunning(PLAN).memory())
    judged = {term.name: (term.inside, term.difference) for term in terms if term.name in TOLD}
    assert judged["weights"] == judged["kv_cache"] == (True, 0.0)
    assert (
        sum(term.expected.value for term in terms if isinstance(term.expected, Expected)) == PLAN.total_bytes
    )


def test_speeds_and_capacity_keep_their_reasons() -> None:
    """No planned speed is said to be none; context and slots are exact; a pool not planned is unknown."""
    prefill, decode = speed_terms(None, Unknown("not timed"), Seen(10.0, Quality.REPORTED, "timings"))
    assert isinstance(prefill.expected, Unknown)
    assert (decode.inside, decode.difference) == (None, None)
    gauge = Gauge("llama.cpp /props")
    told = {Quantity.CONTEXT: gauge(Quantity.CONTEXT, 256), Quantity.SLOTS: gauge(Quantity.SLOTS, 2),
            Quantity.KV_CACHE_TOKENS: gauge(Quantity.KV_CACHE_TOKENS, 256)}  # fmt: skip
    terms = {term.name: term for term in capacity_terms(PLAN, EngineSnapshot("llama.cpp", readings=told))}
    assert (terms["context"].inside, terms["slots"].inside, terms["kv_tokens"].inside) == (True, False, None)
    assert not list(capacity_terms(PLAN, EngineSnapshot("llama.cpp")))


def test_a_busy_machine_is_not_judged_by() -> None:
    """Load above the share of its cores is said; an idle one and one that tells nothing are not."""
    gauge = Gauge("psutil")
    for load, busy in ((8.0, True), (1.0, False)):
        host = HostSnapshot(readings={Quantity.LOAD: gauge(Quantity.LOAD, load)})
        assert bool(busy_note(host, 4)) is busy
    assert not busy_note(HostSnapshot(), 4)


def test_unexplained_is_no_part() -> None:
    """More parts than the whole leave a negative rest; it is never set to zero."""
    whole = Seen(100.0, Quality.MEASURED, "psutil")
    account = Account("process memory", whole, (Part("weights", "CPU", Seen(150.0, Quality.LOGGED, "log")),))
    assert account.unexplained == -50.0


def test_the_context_of_a_device_is_a_part_of_its_own() -> None:
    """What the driver holds for a process is expected, not seen: it says so, and the rest is what remains."""
    plan = small_plan(options=[], devices=devices_of("RTX 4090"))
    (context,) = [
        part for part in plan.memory.components if part.category is Category.RUNTIME and not part.place
    ]
    told = {Quantity.WEIGHTS_BYTES: LOG(Quantity.WEIGHTS_BYTES, 1000)}
    model = ModelSnapshot("m", loaded=True, devices=MappingProxyType({"CUDA0": told}))
    held = Gauge("nvml")(Quantity.MEMORY_USED, 2000 + context.size_bytes)
    found = device_account(EngineSnapshot("llama.cpp", models=(model,)), held, plan)
    parts = {part.name: part.seen for part in found.parts}
    assert set(parts) == {"weights", "context"}
    assert parts["context"].quality in {Quality.ASSUMED, Quality.CALIBRATED}
    assert found.unexplained == 1000
    assert isinstance(found.expected, Expected)
    assert found.expected.value == plan.total_bytes - plan.host_bytes
    bare = device_account(EngineSnapshot("llama.cpp"), held, plan)
    assert not bare.parts  # what nobody tells is not filled up with expectations


def test_others_say_more_than_the_load() -> None:
    """The load of the last minute decides only where the share of others is not known."""
    loaded = HostSnapshot(readings={Quantity.LOAD: Gauge("psutil")(Quantity.LOAD, 9.0)})
    assert "the load was 9.0" in busy_note(loaded, 2)
    assert busy_note(loaded, 2, 0.05) == ""
    assert "others used 30%" in busy_note(HostSnapshot(), 2, 0.3)
