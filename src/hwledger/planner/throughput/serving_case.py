"""From a model, an engine and devices to the case that the serving model answers."""

from collections import Counter
from typing import Final
from weakref import finalize

from hwledger.device.spec import DeviceSpec
from hwledger.model.mixers import LatentAttention
from hwledger.model.packings import named_packings
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.parallel import Parallel, cache_heads, parallel_of
from hwledger.planner.throughput.serving_loads import ServingCase
from hwledger.planner.throughput.work import LOOKED_UP, cached_element_bytes, work_of

CLASSES: Final = (
    ("fp4", ("nvfp4", "mxfp4", "fp4")),
    ("fp8", ("fp8", "mxfp8")),
    ("int8", ("int8", "8bit", "q8")),
    ("int4", ("int4", "4bit", "nf4", "awq", "gptq", "q4", "iq4")),
)
"""Classes of packing that engines have kernels of their own for, by how the packing's name starts."""
_KEPT: Final = LOOKED_UP | {Part.NORM, Part.ROUTER, Part.LM_HEAD}
_AXES: Final = 2


def serving_case(  # noqa: PLR0913 - what the speed of serving depends on
    spec: ModelSpec,
    device: DeviceSpec,
    *,
    engine: str,
    parallel: Parallel,
    weights: str | None = None,
    cache_bytes: float = 2.0,
    most_running: int | None = None,
) -> ServingCase:
    """Return the case of a model in some packing on alike devices.

    Raises:
        UnknownOptionError: there is no such type of weights.
    """
    return ServingCase(
        engine=engine, work=work_of(spec, weights), device=device, parallel=parallel,
        weights=weight_class(spec, weights), cache_bytes=cache_bytes, cache_heads=cache_heads(spec),
        latent=any(isinstance(m, LatentAttention) for layer in spec.layers for m in layer.mixers),
        most_running=most_running,
    )  # fmt: skip


def case_of_plan(plan: Plan, engine: str | None = None) -> ServingCase:
    """Return the case of a plan; ``engine`` where another one than the plan's is asked for.

    The slowest device stands for all of them. The plan must have devices.
    """
    slowest = min(plan.request.devices, key=lambda device: device.bandwidth_bytes_per_second or 0)
    seqs = plan.memory.options.get("max_num_seqs")
    return serving_case(
        plan.spec, slowest, engine=engine or plan.engine, parallel=parallel_of(plan),
        weights=plan.request.weights, cache_bytes=sum(cached_element_bytes(plan)) / 2,
        most_running=seqs if isinstance(seqs, int) else None,
    )  # fmt: skip


_classes: dict[int, dict[str | None, str]] = {}


def weight_class(spec: ModelSpec, override: str | None = None) -> str:
    """Return the class of most of a model's matrices, as stored or re-packed: ``fp8``, ``plain``."""
    if id(spec) not in _classes:  # a spec is not hashable: its metadata is a plain mapping
        _classes[id(spec)] = {}
        finalize(spec, _classes.pop, id(spec), None)
    known = _classes[id(spec)]
    if override not in known:
        known[override] = _class(_named(override) if override else _stored(spec))
    return known[override]


def _class(name: str) -> str:
    return next((kind for kind, starts in CLASSES if name.lower().startswith(starts)), "plain")


def _named(override: str) -> str:
    named = named_packings().get(override.lower())
    return named.packing.name if named else override


def _stored(spec: ModelSpec) -> str:
    sizes: Counter[str] = Counter()
    for tensor in spec.stored_tensors or spec.tensors:
        if tensor.part in _KEPT or len(tensor.shape) < _AXES:
            continue
        packing = spec.quantisation.packing_of(tensor) if spec.quantisation else None
        sizes[packing.name if packing else tensor.stored_type or spec.number_type] += tensor.parameters
    return sizes.most_common(1)[0][0] if sizes else spec.number_type
