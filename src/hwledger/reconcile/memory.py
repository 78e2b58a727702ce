"""Memory: each component of a plan in one term, beside what the engine tells of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hwledger.planner.memory import HOST, Basis, Category, Component
from hwledger.planner.plan import Plan
from hwledger.reconcile.term import Account, Expected, Part, Quality, Seen, Term, Unknown
from hwledger.telemetry.quantity import Quantity, Unit
from hwledger.telemetry.reading import Absent, Reading, Readings, Value
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
NOT_PLANNED: Final = "the plan holds none"
NOT_TOLD: Final = "the engine does not tell it"
_HOST_DEVICES: Final = ("CPU", "BLAS", "AMX")
"""How llama.cpp's names of buffers in the host's memory begin: ``CPU_Mapped``, ``CPU_REPACK``."""
HOST_REST: Final = "the program and its libraries, the heap, what is not told above; less pages never touched"
DEVICE_REST: Final = "the context of the driver and its libraries, what is not told above"


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


def process_account(engine: EngineSnapshot, resident: Reading) -> Account:
    """Return the host's memory of the engine's process and the buffers of its that lie there.

    Args:
        engine: what it tells.
        resident: resident bytes of its process.
    """
    parts = tuple(_parts(engine, on_host=True))
    return Account("process memory", _measured(resident), parts, HOST_REST)


def device_account(engine: EngineSnapshot, held: Reading) -> Account:
    """Return what the engine's process holds on all devices, and the buffers of its that lie there.

    Args:
        engine: what it tells.
        held: bytes that its process holds on devices, as the driver says.
    """
    parts = tuple(_parts(engine, on_host=False))
    return Account("device memory of the process", _measured(held), parts, DEVICE_REST)


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
