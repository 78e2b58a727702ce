"""Memory: each component of a plan in one term, beside what the engine tells of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hwledger.planner.memory import HOST, Basis, Category, Component
from hwledger.planner.plan import Plan
from hwledger.planner.process import ProcessMemory
from hwledger.reconcile.term import Account, Expected, Part, Quality, Seen, Term, Unknown
from hwledger.telemetry.quantity import Quantity, Unit
from hwledger.telemetry.reading import Absent, Reading, Readings, Reason, Value
from hwledger.telemetry.reading import Basis as ReadingBasis
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

MIB: Final = 1 << 20
PRINTED: Final[Mapping[str, float]] = {"llama.cpp log": 0.005 * MIB + 0.5}
"""Half of the last digit that a source writes of one buffer (``%8.2f MiB``), and of the byte it becomes."""
HOST_COMPUTE: Final = "host compute"
"""llama.cpp's scratch on the host: a runtime part of the plan, and one of its compute buffers."""
TOLD: Final[Mapping[str, Quantity]] = {
    "weights": Quantity.WEIGHTS_BYTES, "kv_cache": Quantity.KV_CACHE_BYTES, "state": Quantity.STATE_BYTES,
    "compute": Quantity.COMPUTE_BYTES, "graph": Quantity.GRAPH_BYTES,
}  # fmt: skip
"""What engines tell of the terms; of the others (output, runtime) none tells anything."""
PER_RANK: Final = frozenset({"vllm", "sglang", "tgi"})
"""Engines whose figures are those of one rank, where the plan's are of all."""
_QUALITIES: Final = {
    ReadingBasis.MEASURED: Quality.REPORTED, ReadingBasis.LOGGED: Quality.LOGGED,
    ReadingBasis.DERIVED: Quality.DERIVED,
}  # fmt: skip
_EXPECTATIONS: Final = {
    Basis.EXACT: Quality.CALIBRATED, Basis.MEASURED: Quality.CALIBRATED, Basis.CALIBRATED: Quality.CALIBRATED,
    Basis.ASSUMED: Quality.ASSUMED,
}  # fmt: skip
PROCESS: Final = "process memory"
DEVICES: Final = "device memory of the process"
BASELINE: Final = "baseline"
"""What a process holds beside what its engine allocates for a model: program, libraries, heap."""
CONTEXT: Final = "context"
"""What the driver holds for a process on a device before its first allocation."""
SAVED: Final = "saved prompts"
NOT_TOLD_SAVED: Final = Absent(Reason.UNSUPPORTED, "the engine does not tell of earlier prompts")
NOT_USED: Final = "scratch not used yet"
NOT_PLANNED: Final = "the plan holds none"
NOT_TOLD: Final = "the engine does not tell it"
_HOST_DEVICES: Final = ("CPU", "BLAS", "AMX")
"""How llama.cpp's names of buffers in the host's memory begin: ``CPU_Mapped``, ``CPU_REPACK``."""
HOST_REST: Final = "what is not told above; less pages never touched"
DEVICE_REST: Final = "libraries of the driver, what is not told above"


def memory_terms(plan: Plan, engine: EngineSnapshot) -> tuple[Term, ...]:
    """Return a term for each kind of memory that was planned or told; their planned sum is the plan's total.

    Args:
        plan: the plan.
        engine: what the engine tells; of several models the one that is loaded.
    """
    planned: dict[str, list[Component]] = {}
    for component in plan.memory.components:
        planned.setdefault(term_of(component), []).append(component)
    model = loaded_model(engine)
    names = [*dict.fromkeys([*(each.value for each in Category), *planned])]
    terms = (_term(name, planned.get(name, ()), plan, engine, model) for name in names)
    return tuple(term for term in terms if not _is_empty(term))


def term_of(component: Component) -> str:
    """Return the term that a component belongs to; every component belongs to one."""
    if component.name.replace("_", " ") == HOST_COMPUTE:
        return Category.COMPUTE.value
    return component.category.value


def loaded_model(engine: EngineSnapshot) -> ModelSnapshot | None:
    """Return the model that an engine holds; ``None`` where it tells of none."""
    loaded = [model for model in engine.models if model.loaded is not False]
    return loaded[0] if loaded else None


def _term(
    name: str, parts: Sequence[Component], plan: Plan, engine: EngineSnapshot, model: ModelSnapshot | None
) -> Term:
    expected: Expected | Unknown = expected_of(parts) if parts else Unknown(NOT_PLANNED)
    if name == Category.WEIGHTS.value and not plan.spec.weights_known:
        expected = Unknown("the model's weights are not known")
    quantity = TOLD.get(name)
    if quantity is None:
        return Term(name, Unit.BYTES, expected, Unknown(NOT_TOLD))
    if engine.engine in PER_RANK and (ranks := _devices(plan)) > 1:
        return Term(name, Unit.BYTES, expected, Unknown(f"it tells that of one of its {ranks} devices"))
    reading = _reading(quantity, engine, model)
    return Term(name, Unit.BYTES, expected, seen_of(reading, _buffers(quantity, model)))


def _devices(plan: Plan) -> int:
    return len({part.place for part in plan.memory.components} - {HOST})


def expected_of(parts: Sequence[Component]) -> Expected:
    """Return the sum of components, with the worst basis and every source of theirs."""
    ends = [part.interval_bytes for part in parts]
    worst = max((part.basis for part in parts), key=list(Basis).index)
    sources = dict.fromkeys(part.source for part in parts)
    return Expected(
        sum(part.size_bytes for part in parts), sum(low for low, _ in ends), sum(high for _, high in ends),
        worst, "; ".join(sources),
    )  # fmt: skip


def _is_empty(term: Term) -> bool:
    """Whether nothing was planned and nothing seen: zero bytes planned of what nobody tells is nothing."""
    planned = term.expected.value if isinstance(term.expected, Expected) else 0
    return not planned and (isinstance(term.seen, Unknown) or not term.seen.value)


def _reading(quantity: Quantity, engine: EngineSnapshot, model: ModelSnapshot | None) -> Reading:
    of_model = model[quantity] if model else engine[quantity]
    return of_model if isinstance(of_model, Value) or quantity not in engine.readings else engine[quantity]


def _buffers(quantity: Quantity, model: ModelSnapshot | None) -> int:
    """Return of how many buffers a figure is the sum."""
    told = model.devices.values() if model else ()
    return max(1, sum(quantity in each for each in told))


def seen_of(reading: Reading, buffers: int = 1) -> Seen | Unknown:
    """Return what a reading says, or why it says nothing; ``buffers``: how many figures it adds up."""
    if isinstance(reading, Absent):
        return Unknown(reading.detail or str(reading.reason))
    if isinstance(reading.value, str | tuple):
        return Unknown(f"{reading.source} tells no number")
    give = PRINTED.get(reading.source, 0.0) * buffers if reading.unit is Unit.BYTES else 0.0
    return Seen(float(reading.value), _QUALITIES[reading.basis], reading.source, give)


def process_account(
    engine: EngineSnapshot,
    resident: Reading,
    planned: ProcessMemory | None = None,
    used: float = 1.0,
    saved: Reading = NOT_TOLD_SAVED,
) -> Account:
    """Return the host's memory of the engine's process and what is known of it.

    Args:
        engine: what it tells: its buffers that lie there.
        resident: resident bytes of its process.
        planned: what was planned for the process: its rest is the baseline.
        used: share of the scratch memory that was used.
        saved: bytes of earlier prompts that the engine keeps beside its cache.
    """
    kept = seen_of(saved)
    held = [Part(SAVED, "host", kept)] if isinstance(kept, Seen) and kept.value else []
    parts = (*_parts(engine, on_host=True), *held)
    whole = _expected_whole(planned, sum(part.seen.value for part in held))
    if planned is None or not parts:
        return Account(PROCESS, _measured(resident), parts, HOST_REST, whole)
    rest = planned.rest
    scratch = sum(part.seen.value for part in parts if part.name == Category.COMPUTE.value)
    more = [Part(BASELINE, "host", Seen(rest.value, _EXPECTATIONS[rest.basis], rest.source))]
    if scratch and used < 1:
        why = "pages of scratch memory that no prompt so far was long enough to use"
        more.append(Part(NOT_USED, "host", Seen((used - 1) * scratch, Quality.ASSUMED, why)))
    return Account(PROCESS, _measured(resident), (*parts, *more), HOST_REST, whole)


def _expected_whole(planned: ProcessMemory | None, saved: float) -> Expected | Unknown:
    """Return what was planned for a process, with the earlier prompts that it keeps: no plan has them."""
    if planned is None:
        return Unknown("nothing was planned for the whole")
    beside = ", and earlier prompts that it keeps" if saved else ""
    return Expected(
        planned.value + saved, planned.low + saved, planned.high + saved, planned.rest.basis,
        f"the plan's host memory and a baseline: {planned.rest.source}{beside}",
    )  # fmt: skip


def device_account(engine: EngineSnapshot, held: Reading, plan: Plan | None = None) -> Account:
    """Return what the engine's process holds on all devices and what is known of it.

    Args:
        engine: what it tells: its buffers that lie there.
        held: bytes that its process holds on devices, as the driver says.
        plan: the plan, for the context of the driver that no engine tells.
    """
    parts = tuple(_parts(engine, on_host=False))
    on_devices = [part for part in plan.memory.components if part.place != HOST] if plan else []
    contexts = [part for part in on_devices if _is_context(part)] if parts else []
    more = [
        Part(
            CONTEXT,
            f"device {part.place}",
            Seen(float(part.size_bytes), _EXPECTATIONS[part.basis], part.source),
        )
        for part in contexts
    ]
    whole = expected_of(on_devices) if on_devices else Unknown("the plan holds nothing on devices")
    return Account(DEVICES, _measured(held), (*parts, *more), DEVICE_REST, whole)


def _is_context(part: Component) -> bool:
    return part.category is Category.RUNTIME and "context" in part.name


def _measured(reading: Reading) -> Seen | Unknown:
    seen = seen_of(reading)
    return seen if isinstance(seen, Unknown) else Seen(seen.value, Quality.MEASURED, seen.source)


def _parts(engine: EngineSnapshot, *, on_host: bool) -> Iterator[Part]:
    """Yield the buffers by kind and device; where the engine does not tell devices apart there are none."""
    model = loaded_model(engine)
    if model is None:
        return
    for device, told in model.devices.items():
        if is_host(device) is on_host:
            yield from _of_device(device, told)


def _of_device(device: str, told: Readings) -> Iterator[Part]:
    for name, quantity in TOLD.items():
        seen = seen_of(told[quantity]) if quantity in told else None
        if isinstance(seen, Seen) and seen.value:
            yield Part(name, device, seen)


def is_host(device: str) -> bool:
    """Whether an engine's name of a device stands for the host's memory."""
    return device.startswith(_HOST_DEVICES) or device.endswith("_Host")
