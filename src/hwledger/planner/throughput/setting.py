"""How an engine runs a plan, as far as speed depends on it: backend, kernels, generation of the build."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final
from weakref import finalize

from hwledger.device.spec import DeviceSpec
from hwledger.model.ggml_mixes import BASES, ggml_mix, is_ggml_mix
from hwledger.model.packings import named_packings
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.work import LOOKED_UP

BACKENDS: Final = {"NVIDIA": "CUDA", "AMD": "ROCm", "Apple": "Metal", "Intel": "Vulkan"}
"""Backend of llama.cpp for a vendor where nothing else is said: the one that was measured."""
_NUMBER: Final = re.compile(r"(\d+)")
_KEPT: Final = LOOKED_UP | {Part.NORM, Part.ROUTER, Part.LM_HEAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the engine runs.

    Attributes:
        engine: ``llama.cpp``, ``mlx`` …
        backend: what computes: ``CUDA``, ``ROCm``, ``Vulkan``, ``Metal``, ``SYCL``; ``MLX`` for mlx.
        weights: number type of most of the matrices (``q4_K``, ``bf16``, ``4bit``).
        group: kind of its kernel: ``float``, ``legacy``, ``k``, ``i``, ``micro``, ``affine``.
        flash: flash attention is on.
        early: a build from before llama.cpp multiplied quantised batches itself (mid-2024).
        wrapped: run by a program around the engine (ollama).
        untuned: Vulkan on a device of AMD in a build from before its matrix kernels were fitted to the matrix
            units of these (llama.cpp pull 18749); types that no such unit multiplies were not concerned.
        unfused: a build that updates the states of delta rules by dozens of small operations each, for lack
            of a kernel (llama.cpp pull 19504).
        driver: of the device, where it is not the usual one (``AMDVLK``).
        micro_batch: tokens that are prefilled in one go.
    """

    engine: str
    backend: str
    weights: str
    group: str
    flash: bool = True
    early: bool = False
    wrapped: bool = False
    untuned: bool = False
    unfused: bool = False
    driver: str = ""
    micro_batch: int = 512


def is_untuned(build: int, vendor: str, backend: str, weights: str) -> bool:
    """Return whether a build is from before Vulkan's matrix kernels were fitted to AMD's matrix units."""
    fitted = assumed("vulkan_kernels_fitted_build").value
    return (vendor, backend) == ("AMD", "Vulkan") and weights != "bf16" and build < fitted


def is_unfused(build: int) -> bool:
    """Return whether a build is from before delta rules had a kernel of their own."""
    return build < assumed("delta_rule_fused_build").value


def kernel_group(weights: str) -> str:
    """Return the kind of kernel that multiplies a number type; by ggml's own classes."""
    if weights.startswith(("f16", "bf16", "f32", "fp16", "float")):
        return "float"
    if weights.startswith("iq"):
        return "i"
    if weights.startswith(("mxfp", "nvfp")):
        return "micro"
    if weights.endswith("_K"):
        return "k"
    return "affine" if "bit" in weights else "legacy"


def setting_of(plan: Plan, device: DeviceSpec) -> Setting:
    """Return how a plan runs on a device, on llama.cpp or mlx."""
    if plan.engine == "mlx":
        return _mlx(plan)
    options = plan.memory.options
    backend = options.get("backend") or BACKENDS.get(device.vendor, "CPU")
    weights = weights_type(plan.spec, plan.request.weights)
    from hwledger.planner.engines.llama_cpp.settings import build_number  # noqa: PLC0415 - start-up time

    build = build_number(plan.request.version)
    return Setting(
        engine=plan.engine, backend=str(backend), weights=weights, group=kernel_group(weights),
        untuned=is_untuned(build, device.vendor, str(backend), weights), unfused=is_unfused(build),
        flash=options.get("flash_attn") != "off", wrapped=plan.program == "ollama",
        micro_batch=_number(options.get("n_ubatch"), 512),
    )  # fmt: skip


def _mlx(plan: Plan) -> Setting:
    weights = weights_type(plan.spec, plan.request.weights)
    return Setting(
        engine=plan.engine, backend="MLX", weights=mlx_weights(weights), group=kernel_group(weights),
        micro_batch=2048,
    )  # fmt: skip


def mlx_weights(weights: str) -> str:
    """Return the bits of an affine packing of MLX (``4bit``), whatever its group; others as they are."""
    match = _NUMBER.match(weights)
    return f"{match[1]}bit" if match and "bit" in weights else weights


_types: dict[int, dict[str | None, str]] = {}


def weights_type(spec: ModelSpec, override: str | None) -> str:
    """Return the number type of most of the bytes of a model's matrices, as planned; computed once."""
    if id(spec) not in _types:  # a spec is not hashable: its metadata is a plain mapping
        _types[id(spec)] = {}
        finalize(spec, _types.pop, id(spec), None)
    known = _types[id(spec)]
    if override not in known:
        known[override] = _named(override) if override is not None else _stored(spec)
    return known[override]


def _named(override: str) -> str:
    if is_ggml_mix(override):
        return BASES[ggml_mix(override)]
    named = named_packings().get(override.lower())
    return named.packing.name if named else override.lower()


def _stored(spec: ModelSpec) -> str:
    sizes: Counter[str] = Counter()
    for tensor in spec.stored_tensors or spec.tensors:
        if tensor.part in _KEPT or len(tensor.shape) < 2:  # noqa: PLR2004 - a matrix has two axes
            continue
        packing = spec.quantisation.packing_of(tensor) if spec.quantisation else None
        name = packing.name if packing else tensor.stored_type or spec.number_type
        sizes[name] += tensor.parameters
    return sizes.most_common(1)[0][0] if sizes else spec.number_type


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and value > 0 else default
