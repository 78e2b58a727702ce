"""The JSON contracts ``hwledger.plan/1`` and ``hwledger.show/1``; their schemas lie in ``schemas/``.

Later versions add keys and never change one.
"""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwledger.model.spec import ModelSpec
from hwledger.planner.fit import Change
from hwledger.planner.memory import HOST, Category, Component
from hwledger.planner.plan import DevicePlan, LayerPlan, Plan
from hwledger.planner.weights import weigh
from hwledger.shipped import shipped_text

if TYPE_CHECKING:
    from hwledger.planner.throughput import Throughput

PLAN_SCHEMA = "hwledger.plan/1"
SHOW_SCHEMA = "hwledger.show/1"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a contract by its name: ``hwledger.plan/1``, ``hwledger.devices/1``."""
    file = name.removeprefix("hwledger.").replace("/", "-") + ".json"
    text = shipped_text("hwledger.planner", f"schemas/{file}")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def plan_document(plan: Plan, throughput: "Throughput | None" = None) -> dict[str, Any]:
    """Return a plan as ``hwledger.plan/1``; all sizes in bytes.

    Args:
        plan: the plan.
        throughput: its speed; as ``estimate`` says it where ``None``. Without a device there is none.
    """
    memory = plan.memory
    return {
        "schema": PLAN_SCHEMA,
        "model": model_document(plan.spec),
        "engine": {"name": plan.engine, "version": plan.request.version, "options": dict(memory.options)},
        "workload": {
            "context_tokens": memory.context_tokens,
            "concurrency": memory.concurrency,
            "kv_cache_type": memory.kv_type,
        },
        "memory": _memory(plan),
        "devices": [_device(device) for device in plan.devices],
        "node": _node(plan),
        "layers": [_layer(layer) for layer in plan.layers],
        "capacity": _capacity(plan),
        "fit": _fit(plan),
        "warnings": list(memory.warnings),
        "program": plan.program or None,
        "throughput": _throughput(plan, throughput) if plan.request.devices else None,
    }


def _throughput(plan: Plan, known: "Throughput | None") -> dict[str, Any]:
    from hwledger.planner.throughput import estimate  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput.document import throughput_document  # noqa: PLC0415

    return throughput_document(known or estimate(plan))


def show_document(spec: ModelSpec) -> dict[str, Any]:
    """Return a model as ``hwledger.show/1``."""
    census = spec.census
    return {
        "schema": SHOW_SCHEMA,
        "model": model_document(spec),
        "layers": [
            {
                "index": layer.index,
                "kind": layer.kind,
                "mixer": " + ".join(mixer.name for mixer in layer.mixers),
                "parameters": census.by_layer[layer.index],
                "active_parameters": census.active_by_layer[layer.index],
            }
            for layer in spec.layers
        ],
        "facts": [
            {"key": key, "value": fact.value, "origin": fact.origin} for key, fact in spec.facts.items()
        ],
        "unknowns": list(spec.unknowns),
    }


def model_document(spec: ModelSpec) -> dict[str, Any]:
    """Return the ``model`` part that both contracts share."""
    census, weights = spec.census, weigh(spec)
    return {
        "id": spec.id,
        "architecture": spec.architecture,
        "source": spec.source,
        "format": spec.format,
        "context_length": spec.context_length,
        "hidden_size": spec.hidden_size,
        "vocab_size": spec.vocab_size,
        "number_type": spec.number_type,
        "tied_embeddings": spec.tied_embeddings,
        "quantisation": spec.quantisation.method if spec.quantisation else None,
        "weights_bytes": weights.total,
        "mtp_weights_bytes": weights.mtp,
        "parameters": {
            "total": census.total,
            "active": census.active,
            "embedding": census.embedding,
            "mtp": census.mtp,
            "by_part": {part.value: count for part, count in census.by_part.items()},
        },
        "layer_kinds": dict(Counter(layer.kind for layer in spec.layers)),
        "revision": spec.revision or None,
        "reading": None if spec.reading is None else asdict(spec.reading),
    }


def _memory(plan: Plan) -> dict[str, Any]:
    totals = plan.by_category
    return {
        **{f"{category.value}_bytes": totals[category] for category in Category},
        "total_bytes": plan.total_bytes,
        "total_interval_bytes": list(plan.total_interval_bytes),
        "host_bytes": plan.host_bytes,
        "kv_cache_bytes_per_token": plan.memory.kv_cache_bytes_per_token,
        "bytes_per_request": plan.memory.bytes_per_request,
        "components": [_component(component) for component in plan.memory.components],
        "not_modelled": list(plan.memory.not_modelled),
    }


def _component(component: Component) -> dict[str, Any]:
    return {
        "name": component.name,
        "category": component.category.value,
        "bytes": component.size_bytes,
        "basis": component.basis.value,
        "source": component.source,
        "interval_bytes": list(component.interval_bytes),
        "place": "host" if component.place == HOST else component.place,
    }


def _device(device: DevicePlan) -> dict[str, Any]:
    return {
        "name": device.name,
        "capacity_bytes": device.capacity_bytes,
        "usable_bytes": device.usable_bytes,
        **{f"{category.value}_bytes": device.by_category[category] for category in Category},
        "total_bytes": device.total_bytes,
        "verdict": device.verdict.value if device.verdict else None,
    }


def _node(plan: Plan) -> dict[str, Any] | None:
    if plan.request.node is None:
        return None
    from hwledger.device.node import node_for  # noqa: PLC0415 - only where a node is named

    node = node_for(plan.request.node, plan.request.devices)
    return {
        "name": node.name,
        "link": node.link or None,
        "link_bytes_per_second": node.link_bytes_per_second,
        "pcie_bytes_per_second": node.pcie_bytes_per_second,
        "host_memory_bytes": node.host_memory_bytes,
        "host_bandwidth_bytes_per_second": node.host_bandwidth_bytes_per_second,
        "source": node.source,
    }


def _layer(layer: LayerPlan) -> dict[str, Any]:
    return {
        "index": layer.index,
        "kind": layer.kind,
        "mixer": layer.mixer,
        "parameters": layer.parameters,
        "active_parameters": layer.active_parameters,
        "weights_bytes": layer.weights_bytes,
        "kv_cache_bytes": layer.kv_cache_bytes,
        "state_bytes": layer.state_bytes,
    }


def _capacity(plan: Plan) -> dict[str, Any] | None:
    capacity = plan.memory.capacity
    if capacity is None:
        return None
    return {
        "kv_pool_bytes": capacity.kv_pool_bytes,
        "max_tokens": capacity.max_tokens,
        "max_concurrency": capacity.max_concurrency,
    }


def _fit(plan: Plan) -> dict[str, Any] | None:
    if plan.fit is None:
        return None
    return {
        "verdict": plan.fit.verdict.value,
        "headroom_bytes": plan.fit.headroom_bytes,
        "host_headroom_bytes": plan.fit.host_headroom_bytes,
        "changes": [_change(change) for change in plan.fit.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "from": change.before,
        "to": change.after,
        "total_bytes": change.total_bytes,
        "headroom_bytes": change.headroom_bytes,
    }
